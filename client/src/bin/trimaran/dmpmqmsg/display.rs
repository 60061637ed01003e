//! What -d asks for: how messages are written.

/// How the bytes of a body are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Body {
    #[default]
    Hex,
    /// -dA and -dp: what can be printed as characters, the rest in hexadecimal.
    Characters,
    /// -dt: line by line.
    Text,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Display {
    pub body: Body,
    /// -da: characters beside hexadecimal digits.
    pub columns: bool,
    /// -dc: application data of the descriptor as characters.
    pub characters: bool,
    /// Not -dH.
    pub header: bool,
    /// -di.
    pub index: bool,
    /// Not -dN.
    pub descriptor: bool,
    /// -dT: how long each message has been there, and no message.
    pub age: bool,
    /// -ds: figures, and no message.
    pub summary: bool,
    /// -dM and -dC: with the ids of the messages that the figures are of.
    pub message_ids: bool,
    pub correlation_ids: bool,
    /// Bytes on a line of hexadecimal digits.
    pub width: usize,
}

impl Default for Display {
    fn default() -> Display {
        Display {
            body: Body::Hex,
            columns: false,
            characters: false,
            header: true,
            index: false,
            descriptor: true,
            age: false,
            summary: false,
            message_ids: false,
            correlation_ids: false,
            width: 25,
        }
    }
}

impl Display {
    /// Letters, one behind the other; behind w stands a number.
    ///
    /// # Errors
    /// The letter that is none.
    pub fn parse(letters: &str) -> Result<Display, String> {
        let mut display = Display::default();
        let mut bodies = 0;
        let mut rest = letters.chars().peekable();
        while let Some(letter) = rest.next() {
            match letter {
                'a' => display.columns = true,
                'c' => display.characters = true,
                'H' => display.header = false,
                'i' => display.index = true,
                'N' => display.descriptor = false,
                'T' => display.age = true,
                's' => display.summary = true,
                'M' => display.message_ids = true,
                'C' => display.correlation_ids = true,
                'A' | 'p' | 't' => {
                    bodies += 1;
                    display.body = if letter == 't' { Body::Text } else { Body::Characters };
                }
                'w' => {
                    let mut digits = String::new();
                    while let Some(digit) = rest.next_if(char::is_ascii_digit) {
                        digits.push(digit);
                    }
                    let width = digits.parse().ok().filter(|width: &usize| (1..=100_000).contains(width));
                    // Less than 10 is 10, as in MQ.
                    display.width = width.ok_or("behind w stands the number of bytes a line")?.max(10);
                }
                other => return Err(format!("{other:?} is none of a, A, c, C, H, i, M, N, p, s, t, T, w")),
            }
        }
        if bodies > 1 {
            return Err("of A, p and t only one can be said".into());
        }
        Ok(display)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_stand_behind_each_other_as_in_mq() {
        let display = Display::parse("iAw40a").unwrap();
        let expected =
            Display { index: true, body: Body::Characters, width: 40, columns: true, ..Display::default() };
        assert_eq!(display, expected);
        assert_eq!(Display::parse("w3").unwrap().width, 10);
        for (wrong, why) in
            [("Ap", "only one"), ("z", "'z' is none of"), ("w", "behind w"), ("w0", "behind w")]
        {
            let said = Display::parse(wrong).unwrap_err();
            assert!(said.contains(why), "{wrong}: {said}");
        }
    }
}
