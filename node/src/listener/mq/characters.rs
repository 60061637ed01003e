//! Character sets that bodies of messages are converted between when a program asks for it (MQGMO_CONVERT).

use bytes::Bytes;

/// The upper half of code page 437.
const CP437: &str = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u{a0}";
/// The upper half of code page 850.
const CP850: &str = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜø£Ø×ƒáíóúñÑªº¿®¬½¼¡«»░▒▓│┤ÁÂÀ©╣║╗╝¢¥┐└┴┬├─┼ãÃ╚╔╩╦╠═╬¤ðÐÊËÈıÍÎÏ┘┌█▄¦Ì▀ÓßÔÒõÕµþÞÚÛÙýÝ¯´\u{ad}±‗¾¶§÷¸°¨·¹³²■\u{a0}";
/// What stands for a character that the target does not have.
const SUBSTITUTE: u8 = 0x1A;

/// The text in another character set; None when one of the two is not known here or the text is not in `from`.
pub fn converted(text: &[u8], from: i32, to: i32, is_big: bool) -> Option<Bytes> {
    let text = decoded(text, from, is_big)?;
    Some(match to {
        1208 => text.into_bytes().into(),
        1200 | 13488 => {
            let order = if is_big { u16::to_be_bytes } else { u16::to_le_bytes };
            text.encode_utf16().flat_map(order).collect::<Vec<u8>>().into()
        }
        819 => text.chars().map(|c| u8::try_from(c).unwrap_or(SUBSTITUTE)).collect::<Vec<u8>>().into(),
        437 | 850 => {
            let upper: Vec<char> = page(to)?.chars().collect();
            let byte = |c: char| match c {
                '\0'..='\x7F' => c as u8,
                _ => upper.iter().position(|u| *u == c).map_or(SUBSTITUTE, |at| 0x80 + at as u8),
            };
            text.chars().map(byte).collect::<Vec<u8>>().into()
        }
        _ => return None,
    })
}

fn decoded(text: &[u8], from: i32, is_big: bool) -> Option<String> {
    match from {
        1208 => String::from_utf8(text.to_vec()).ok(),
        1200 | 13488 => {
            let (units, rest) = text.as_chunks::<2>();
            let order = if is_big { u16::from_be_bytes } else { u16::from_le_bytes };
            let units: Vec<u16> = units.iter().map(|unit| order(*unit)).collect();
            rest.is_empty().then(|| String::from_utf16(&units).ok()).flatten()
        }
        819 => Some(text.iter().map(|byte| char::from(*byte)).collect()),
        437 | 850 => {
            let upper: Vec<char> = page(from)?.chars().collect();
            let of =
                |byte: &u8| if *byte < 0x80 { char::from(*byte) } else { upper[usize::from(*byte - 0x80)] };
            Some(text.iter().map(of).collect())
        }
        _ => None,
    }
}

fn page(ccsid: i32) -> Option<&'static str> {
    match ccsid {
        437 => Some(CP437),
        850 => Some(CP850),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_has_128_characters_and_comes_back() {
        for ccsid in [819, 437, 850] {
            let all: Vec<u8> = (0..=255).collect();
            let utf8 = converted(&all, ccsid, 1208, true).unwrap();
            assert_eq!(converted(&utf8, 1208, ccsid, true).unwrap(), all, "{ccsid}");
        }
    }

    #[test]
    fn what_the_target_does_not_have_is_substituted_and_what_is_unknown_is_left() {
        assert_eq!(converted("a€".as_bytes(), 1208, 819, true).unwrap(), &b"a\x1A"[..]);
        assert_eq!(converted("é".as_bytes(), 1208, 850, true).unwrap(), &[0x82][..]);
        assert_eq!(converted("é".as_bytes(), 1208, 1200, true).unwrap(), &[0, 0xE9][..]);
        assert_eq!(converted(b"a", 1208, 500, true), None);
        assert_eq!(converted(&[0xFF], 1208, 819, true), None);
    }
}
