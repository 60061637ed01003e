//! Functions and what they assert, counted in tokens. Tests do not count.

use super::tokens::Kind::{Sign, Word};
use super::tokens::{Token, inline_modules, kinds};
use super::{Module, is_test};

/// How many functions with a body there are, and how many assertions in them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measures {
    pub functions: usize,
    /// `assert!` and its kin, `debug_assert!` too. What is only expected or unreachable is not counted.
    pub assertions: usize,
}

impl Measures {
    /// Of all files of `node` whose module path begins with this name.
    pub fn of(modules: &[Module], name: &str) -> Measures {
        let mut all = Measures::default();
        let within = |module: &&Module| module.path.first().is_some_and(|first| first == name);
        for module in modules.iter().filter(within).filter(|module| !is_test(module)) {
            let Measures { functions, assertions } = measures(&module.tokens);
            all.functions += functions;
            all.assertions += assertions;
        }
        all
    }

    /// Assertions a hundred functions.
    pub fn per_hundred(&self) -> usize {
        (100 * self.assertions).checked_div(self.functions).unwrap_or(0)
    }
}

const ASSERTIONS: [&str; 6] =
    ["assert", "assert_eq", "assert_ne", "debug_assert", "debug_assert_eq", "debug_assert_ne"];

fn measures(tokens: &[Token]) -> Measures {
    let mut found = Measures::default();
    for (at, around) in inline_modules(tokens).into_iter().enumerate() {
        if around.iter().any(|name| name == "tests") {
            break;
        }
        match kinds(tokens, at) {
            [Word(keyword), Word(_), _] if keyword == "fn" => {
                found.functions += usize::from(has_body(&tokens[at..]));
            }
            [Word(name), Sign('!'), Sign('(')] if ASSERTIONS.contains(&name.as_str()) => {
                found.assertions += 1;
            }
            _ => {}
        }
    }
    found
}

/// Whether the signature that begins here ends with a body.
fn has_body(tokens: &[Token]) -> bool {
    let mut open = 0;
    for token in tokens {
        match token.kind {
            Sign('(' | '[') => open += 1,
            Sign(')' | ']') => open -= 1,
            Sign('{') if open == 0 => return true,
            Sign(';') if open == 0 => return false,
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::tokens::tokens_of;

    #[test]
    fn functions_and_assertions_are_counted_and_tests_are_not() {
        let text = r#"
            trait T { fn declared(&self, bytes: [u8; 4]); fn given(&self) { assert!(true, "assert!(no)"); } }
            fn free<F: Fn(u8)>(f: F) -> fn(u8) { debug_assert_eq!(1, 1); let f = |x| assert_ne!(x, 1); f }
            // assert!(false)
            mod tests { fn tested() { assert!(true) } }
        "#;
        assert_eq!(measures(&tokens_of(text)), Measures { functions: 2, assertions: 3 });
    }
}
