//! The grammar of selectors, by recursive descent; what is nested is bounded, what stands in a row is not.
//!
//! ```text
//! or         = and { OR and }
//! and        = not { AND not }
//! not        = NOT not | comparison
//! comparison = sum [ (= <> < <= > >=) sum | [NOT] BETWEEN sum AND sum
//!            | [NOT] IN ('…' {, '…'}) | [NOT] LIKE '…' [ESCAPE '…'] | IS [NOT] NULL ]
//! sum        = product { (+ -) product }
//! product    = factor { (* /) factor }
//! factor     = (+ -) factor | literal | name | ( or )
//! ```

use std::borrow::Cow;

use super::lexer::{Lexer, Mistake, Sign, Token};
use super::pattern::Pattern;
use super::program::{Op, Program};
use super::properties::Properties;
use super::value::{Arithmetic, Comparison};

/// Parentheses, signs and NOTs within each other.
const DEPTH_MAX: usize = 64;

/// What is known of a part without any message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Compares or joins; its value is a truth.
    Condition,
    Property,
    Truth,
    Number,
    Text,
    Bytes,
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    token: Token<'a>,
    /// Where it begins.
    at: usize,
    depth: usize,
    program: Program,
    properties: Properties,
}

/// # Errors
/// Where the text is no selector, and why.
pub fn parse(text: &str) -> Result<(Program, Properties), Mistake> {
    let mut lexer = Lexer::new(text);
    let (token, at) = lexer.next()?;
    let (program, properties) = (Program::default(), Properties::default());
    let mut parser = Parser { lexer, token, at, depth: 0, program, properties };
    let kind = parser.or()?;
    if parser.token != Token::End {
        return Err(parser.mistake("a selector has ended here, or AND or OR is missing"));
    }
    condition(kind, 0)?;
    debug_assert!(!parser.program.ops().is_empty(), "a condition has steps");
    debug_assert_eq!(parser.depth, 0, "whatever was nested has ended");
    parser.program.finish();
    parser.properties.finish();
    Ok((parser.program, parser.properties))
}

fn condition(kind: Kind, at: usize) -> Result<(), Mistake> {
    match kind {
        Kind::Condition | Kind::Property | Kind::Truth => Ok(()),
        Kind::Number | Kind::Text | Kind::Bytes => {
            Err(Mistake { at, what: "this is a value, and there has to be a condition" })
        }
    }
}

fn value(kind: Kind, at: usize) -> Result<(), Mistake> {
    match kind {
        Kind::Condition => Err(Mistake { at, what: "this is a condition, and there has to be a value" }),
        _ => Ok(()),
    }
}

fn number(kind: Kind, at: usize) -> Result<(), Mistake> {
    match kind {
        Kind::Number | Kind::Property => Ok(()),
        _ => Err(Mistake { at, what: "there has to be a number or the name of a property" }),
    }
}

fn property(kind: Kind, at: usize) -> Result<(), Mistake> {
    match kind {
        Kind::Property => Ok(()),
        _ => Err(Mistake { at, what: "there has to be the name of a property" }),
    }
}

/// Words that are no names, in any case.
const KEYWORDS: [&str; 11] =
    ["NULL", "TRUE", "FALSE", "NOT", "AND", "OR", "BETWEEN", "LIKE", "IN", "IS", "ESCAPE"];

/// Most names are longer, or begin with other letters, and that is found at once.
fn is_keyword(word: &str) -> bool {
    const LONGEST: usize = 7;
    let begins = |first: u8| {
        matches!(first.to_ascii_uppercase(), b'A' | b'B' | b'E' | b'F' | b'I' | b'L' | b'N' | b'O' | b'T')
    };
    word.len() <= LONGEST
        && word.bytes().next().is_some_and(begins)
        && KEYWORDS.iter().any(|keyword| word.eq_ignore_ascii_case(keyword))
}

impl<'a> Parser<'a> {
    fn or(&mut self) -> Result<Kind, Mistake> {
        self.row("OR", Op::Or, Parser::and)
    }

    fn and(&mut self) -> Result<Kind, Mistake> {
        self.row("AND", Op::And, Parser::not)
    }

    /// Conditions with this word between them.
    fn row(
        &mut self,
        word: &str,
        op: Op,
        one: impl Fn(&mut Parser<'a>) -> Result<Kind, Mistake>,
    ) -> Result<Kind, Mistake> {
        debug_assert!(matches!(op, Op::And | Op::Or), "conditions are joined by two words");
        let begin = self.at;
        let first = one(self)?;
        if !self.sees(word) {
            return Ok(first);
        }
        condition(first, begin)?;
        while self.takes(word)? {
            let begin = self.at;
            let next = one(self)?;
            condition(next, begin)?;
            self.program.add(if matches!(op, Op::And) { Op::And } else { Op::Or });
        }
        Ok(Kind::Condition)
    }

    fn not(&mut self) -> Result<Kind, Mistake> {
        if !self.takes("NOT")? {
            return self.comparison();
        }
        let begin = self.at;
        let negated = self.deeper(Parser::not)?;
        condition(negated, begin)?;
        self.program.add(Op::Not);
        Ok(Kind::Condition)
    }

    fn comparison(&mut self) -> Result<Kind, Mistake> {
        let begin = self.at;
        let left = self.sum()?;
        if let Some(comparison) = self.comparison_sign() {
            value(left, begin)?;
            self.go_on()?;
            let right_begin = self.at;
            let right = self.sum()?;
            value(right, right_begin)?;
            if !comparison.is_of_any() {
                number(left, begin)?;
                number(right, right_begin)?;
            }
            self.program.add(Op::Compare(comparison));
            return Ok(Kind::Condition);
        }
        if self.takes("IS")? {
            property(left, begin)?;
            let negated = self.takes("NOT")?;
            self.expect("NULL", "there has to be NULL or NOT NULL")?;
            self.program.add(Op::IsNull { negated });
            return Ok(Kind::Condition);
        }
        let negated = self.takes("NOT")?;
        if self.takes("BETWEEN")? {
            number(left, begin)?;
            self.number_of_between()?;
            self.expect("AND", "there has to be AND and the upper bound of BETWEEN")?;
            self.number_of_between()?;
            self.program.add(Op::Between { negated });
        } else if self.takes("IN")? {
            property(left, begin)?;
            let among = self.list()?;
            self.program.add(Op::In { negated, among });
        } else if self.takes("LIKE")? {
            property(left, begin)?;
            let pattern = self.pattern()?;
            self.program.add(Op::Like { negated, pattern });
        } else if negated {
            return Err(self.mistake("behind NOT there has to be BETWEEN, IN or LIKE"));
        } else {
            return Ok(left);
        }
        Ok(Kind::Condition)
    }

    fn comparison_sign(&self) -> Option<Comparison> {
        let Token::Sign(sign) = self.token else { return None };
        Some(match sign {
            Sign::Equal => Comparison::Equal,
            Sign::NotEqual => Comparison::NotEqual,
            Sign::Less => Comparison::Less,
            Sign::LessOrEqual => Comparison::LessOrEqual,
            Sign::Greater => Comparison::Greater,
            Sign::GreaterOrEqual => Comparison::GreaterOrEqual,
            _ => return None,
        })
    }

    fn number_of_between(&mut self) -> Result<(), Mistake> {
        let begin = self.at;
        let bound = self.sum()?;
        number(bound, begin)
    }

    fn list(&mut self) -> Result<Box<[Box<str>]>, Mistake> {
        self.expect_sign(Sign::Open, "there has to be a list of texts in parentheses")?;
        let mut among = vec![self.text("a list has texts in single quotes")?.into()];
        while self.takes_sign(Sign::Comma)? {
            among.push(self.text("a list has texts in single quotes")?.into());
        }
        self.expect_sign(Sign::Close, "a list goes on with a comma or ends with a parenthesis")?;
        debug_assert!(!among.is_empty(), "a list has something in it");
        Ok(among.into())
    }

    fn pattern(&mut self) -> Result<Pattern, Mistake> {
        let at = self.at;
        let text = self.text("a pattern is a text in single quotes")?;
        let escape = match self.takes("ESCAPE")? {
            false => None,
            true => {
                let what = "an escape character is one character in single quotes";
                let at = self.at;
                let escape = self.text(what)?;
                let mut characters = escape.chars();
                match (characters.next(), characters.next()) {
                    (Some(escape), None) => Some(escape),
                    _ => return Err(Mistake { at, what }),
                }
            }
        };
        Pattern::new(&text, escape).ok_or(Mistake { at, what: "nothing is behind the last escape character" })
    }

    fn sum(&mut self) -> Result<Kind, Mistake> {
        let begin = self.at;
        let first = self.product()?;
        self.operations(first, begin, Sign::Plus, Sign::Minus, Parser::product)
    }

    fn product(&mut self) -> Result<Kind, Mistake> {
        let begin = self.at;
        let first = self.factor()?;
        self.operations(first, begin, Sign::Times, Sign::Over, Parser::factor)
    }

    /// What follows the first operand of a row of one or the other operation.
    fn operations(
        &mut self,
        first: Kind,
        begin: usize,
        one: Sign,
        other: Sign,
        operand: impl Fn(&mut Parser<'a>) -> Result<Kind, Mistake>,
    ) -> Result<Kind, Mistake> {
        debug_assert_ne!(one, other, "a row is of two operations");
        let mut kind = first;
        while let Token::Sign(sign) = self.token
            && (sign == one || sign == other)
        {
            number(kind, begin)?;
            self.go_on()?;
            let begin = self.at;
            let next = operand(self)?;
            number(next, begin)?;
            self.program.add(Op::Compute(match sign {
                Sign::Plus => Arithmetic::Add,
                Sign::Minus => Arithmetic::Subtract,
                Sign::Times => Arithmetic::Multiply,
                _ => Arithmetic::Divide,
            }));
            kind = Kind::Number;
        }
        Ok(kind)
    }

    fn factor(&mut self) -> Result<Kind, Mistake> {
        let at = self.at;
        let (op, kind) = match std::mem::replace(&mut self.token, Token::End) {
            Token::Sign(Sign::Open) => {
                self.go_on()?;
                let kind = self.deeper(Parser::or)?;
                self.expect_sign(Sign::Close, "a closing parenthesis is missing")?;
                return Ok(kind);
            }
            Token::Sign(sign @ (Sign::Plus | Sign::Minus)) => {
                self.go_on()?;
                return self.signed(sign == Sign::Minus);
            }
            Token::Integer(number) => match i64::try_from(number) {
                Ok(number) => (Op::Integer(number), Kind::Number),
                Err(_) => return Err(Mistake { at, what: "this is no integer of 64 bits" }),
            },
            Token::Float(number) => (Op::Float(number), Kind::Number),
            Token::Text(text) => (Op::Text(text.into()), Kind::Text),
            Token::Bytes(bytes) => (Op::Bytes(bytes.into()), Kind::Bytes),
            Token::Word(word) if word.eq_ignore_ascii_case("TRUE") => (Op::Truth(true), Kind::Truth),
            Token::Word(word) if word.eq_ignore_ascii_case("FALSE") => (Op::Truth(false), Kind::Truth),
            Token::Word(word) if is_keyword(word) => {
                return Err(Mistake { at, what: "there has to be a name, a literal or a parenthesis" });
            }
            Token::Word(name) => (Op::Property(self.properties.number(name, at)?), Kind::Property),
            Token::Sign(_) | Token::End => {
                return Err(Mistake { at, what: "there has to be a name, a literal or a parenthesis" });
            }
        };
        self.program.add(op);
        self.go_on()?;
        Ok(kind)
    }

    /// What follows a sign.
    fn signed(&mut self, is_minus: bool) -> Result<Kind, Mistake> {
        let begin = self.at;
        if let (true, Token::Integer(number)) = (is_minus, &self.token) {
            // The lowest has no positive twin.
            debug_assert!(*number <= 1 << 63, "no token is longer than 64 bits");
            self.program.add(Op::Integer(0i64.wrapping_sub_unsigned(*number)));
            self.go_on()?;
            return Ok(Kind::Number);
        }
        let kind = self.deeper(Parser::factor)?;
        number(kind, begin)?;
        if is_minus {
            self.program.add(Op::Negate);
        }
        Ok(Kind::Number)
    }

    // ---- tokens -----------------------------------------------------------------------------------------------

    fn deeper(&mut self, part: impl Fn(&mut Parser<'a>) -> Result<Kind, Mistake>) -> Result<Kind, Mistake> {
        if self.depth == DEPTH_MAX {
            return Err(self.mistake("it is nested deeper than 64 times"));
        }
        self.depth += 1;
        let kind = part(self)?;
        debug_assert!(self.depth > 0, "what ends has begun");
        self.depth -= 1;
        Ok(kind)
    }

    fn mistake(&self, what: &'static str) -> Mistake {
        debug_assert!(!what.is_empty(), "a mistake is said");
        Mistake { at: self.at, what }
    }

    fn go_on(&mut self) -> Result<(), Mistake> {
        let before = self.at;
        (self.token, self.at) = self.lexer.next()?;
        debug_assert!(self.at >= before, "a text is read forwards");
        Ok(())
    }

    fn sees(&self, keyword: &str) -> bool {
        debug_assert!(KEYWORDS.contains(&keyword), "what is looked for is no name");
        matches!(self.token, Token::Word(word) if word.eq_ignore_ascii_case(keyword))
    }

    fn takes(&mut self, keyword: &str) -> Result<bool, Mistake> {
        let is_there = self.sees(keyword);
        if is_there {
            self.go_on()?;
        }
        Ok(is_there)
    }

    fn expect(&mut self, keyword: &str, what: &'static str) -> Result<(), Mistake> {
        if self.takes(keyword)? { Ok(()) } else { Err(self.mistake(what)) }
    }

    fn takes_sign(&mut self, sign: Sign) -> Result<bool, Mistake> {
        let is_there = self.token == Token::Sign(sign);
        if is_there {
            self.go_on()?;
        }
        Ok(is_there)
    }

    fn expect_sign(&mut self, sign: Sign, what: &'static str) -> Result<(), Mistake> {
        if self.takes_sign(sign)? { Ok(()) } else { Err(self.mistake(what)) }
    }

    fn text(&mut self, what: &'static str) -> Result<Cow<'a, str>, Mistake> {
        let Token::Text(text) = std::mem::replace(&mut self.token, Token::End) else {
            return Err(self.mistake(what));
        };
        self.go_on()?;
        Ok(text)
    }
}
