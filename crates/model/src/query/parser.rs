//! Query text to tree: recursive descent over the runs that [`super::scan`] finds.
//!
//! ```text
//! or      = and { "OR" and }
//! and     = not { [ "AND" ] not }
//! not     = { "NOT" | "-" } operand
//! operand = "(" or ")" | field | quoted | "/" regex "/" | bare
//! field   = name ( ":" ( value | "(" or-of-values ")" ) | ( ">" | ">=" | "<" | "<=" ) bound )
//! value   = quoted | "/" regex "/" | ( "[" | "{" ) bound "TO" bound ( "]" | "}" ) | bare
//! ```
//!
//! Among the values in parentheses a minus belongs to the value (`status:(-1 OR 5)`); `NOT` negates there too.

use super::scan::{Next, Operator, Scanner};
use super::tree::{Field, Query, Test, Text};
use super::{Pattern, bare, value};

/// How long a query may be.
pub const QUERY_BYTES_MAX: usize = 16 << 10;
/// How deep parentheses and negations may stand in each other.
pub const NESTING_MAX: usize = 64;
/// How many conditions a query may have.
pub const TERMS_MAX: usize = 1_000;
/// How many of them may be regular expressions, each of which takes memory when compiled.
pub const REGEXES_MAX: usize = 32;

/// Why a query can't be read, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ParseError {
    pub message: String,
    /// 0-based, in characters.
    pub position: usize,
    pub hint: Option<String>,
}

/// Reads a query. `now` (nanoseconds since the Unix epoch) is what relative times in it refer to.
///
/// # Errors
/// The first place where the text is not a query.
pub fn parse(text: &str, now: i64) -> Result<Query, ParseError> {
    let mut parser = Parser { scanner: Scanner::new(text), now, depth: 0, terms: 0, regexes: 0 };
    if text.len() > QUERY_BYTES_MAX {
        let message = format!("the query has {} bytes, at most {QUERY_BYTES_MAX} are allowed", text.len());
        return Err(parser.scanner.error(0, message, "search in several steps"));
    }
    if parser.scanner.next() == Next::End {
        return Ok(Query::All);
    }
    let query = parser.or(Scope::Terms)?;
    match parser.scanner.next() {
        Next::End => Ok(query),
        _ => Err(parser.scanner.error(parser.scanner.at(), "this parenthesis was never opened", QUOTE_PARENTHESES)),
    }
}

const QUOTE_PARENTHESES: &str = "put text with parentheses in double quotes";

/// What operands are: whole terms, or the values of one field.
#[derive(Debug, Clone, Copy)]
enum Scope<'f> {
    Terms,
    Values(&'f Field),
}

struct Parser<'q> {
    scanner: Scanner<'q>,
    now: i64,
    depth: usize,
    terms: usize,
    regexes: usize,
}

impl<'q> Parser<'q> {
    fn or(&mut self, scope: Scope<'_>) -> Result<Query, ParseError> {
        let mut parts = vec![self.and(scope)?];
        while self.scanner.next() == Next::Or {
            self.operator("OR")?;
            parts.push(self.and(scope)?);
        }
        Ok(Query::any(parts))
    }

    fn and(&mut self, scope: Scope<'_>) -> Result<Query, ParseError> {
        if let Next::And | Next::Or = self.scanner.next() {
            let message = "an operator with nothing before it";
            let hint = "write a term on both sides of it, or put the word in double quotes or lower case";
            return Err(self.scanner.error(self.scanner.at(), message, hint));
        }
        let mut parts = vec![self.not(scope)?];
        loop {
            match self.scanner.next() {
                Next::End | Next::Close | Next::Or => break,
                Next::And => self.operator("AND")?,
                Next::Not | Next::Operand => {}
            }
            parts.push(self.not(scope)?);
        }
        Ok(Query::all(parts))
    }

    /// Takes an operator and checks that something follows for it to work on.
    fn operator(&mut self, name: &str) -> Result<(), ParseError> {
        let at = self.scanner.at();
        self.scanner.run();
        match self.scanner.next() {
            Next::Not | Next::Operand => Ok(()),
            _ => {
                let hint = format!("write a term after it, or \"{name}\" in double quotes to search for the word");
                Err(self.scanner.error(at, format!("{name} with nothing after it"), hint))
            }
        }
    }

    fn not(&mut self, scope: Scope<'_>) -> Result<Query, ParseError> {
        self.depth += 1;
        if self.depth > NESTING_MAX {
            let message = format!("parentheses and negations stand more than {NESTING_MAX} deep in each other");
            return Err(self.scanner.error(self.scanner.at(), message, "simplify the query"));
        }
        let query = if self.scanner.next() == Next::Not {
            self.operator("NOT")?;
            Query::Not(Box::new(self.not(scope)?))
        } else if matches!(scope, Scope::Terms) && self.scanner.minus_negates() {
            self.scanner.eat('-');
            Query::Not(Box::new(self.not(scope)?))
        } else {
            self.operand(scope)?
        };
        self.depth -= 1;
        Ok(query)
    }

    fn operand(&mut self, scope: Scope<'_>) -> Result<Query, ParseError> {
        if self.scanner.peek() == Some('(') {
            return self.group(scope);
        }
        self.terms += 1;
        if self.terms > TERMS_MAX {
            let message = format!("the query has more than {TERMS_MAX} conditions");
            return Err(self.scanner.error(self.scanner.at(), message, "search in several steps"));
        }
        match scope {
            Scope::Values(field) => self.value(field),
            Scope::Terms => self.term(),
        }
    }

    fn group(&mut self, scope: Scope<'_>) -> Result<Query, ParseError> {
        let open = self.scanner.at();
        self.scanner.eat('(');
        match self.scanner.next() {
            Next::Close => {
                return Err(self.scanner.error(open, "there is nothing in these parentheses", QUOTE_PARENTHESES));
            }
            Next::End => return Err(self.unclosed(open)),
            _ => {}
        }
        let query = self.or(scope)?;
        self.scanner.skip_space();
        if self.scanner.eat(')') { Ok(query) } else { Err(self.unclosed(open)) }
    }

    fn unclosed(&self, open: usize) -> ParseError {
        self.scanner.error(open, "this parenthesis is never closed", "add a ), or put the text in double quotes")
    }

    fn term(&mut self) -> Result<Query, ParseError> {
        if self.scanner.peek() == Some('/') {
            return Ok(Query::Message(Text::Regex(self.regex()?)));
        }
        if let Some((name, operator)) = self.scanner.field()? {
            return self.field(&Field::from_name(&name), operator);
        }
        if self.scanner.peek() == Some('"') {
            return Ok(bare::quoted(&self.scanner.quoted()?));
        }
        Ok(bare::unquoted(self.scanner.run()))
    }

    fn field(&mut self, field: &Field, operator: Operator) -> Result<Query, ParseError> {
        if operator == Operator::Is {
            return match self.scanner.peek() {
                Some('(') => {
                    self.terms -= 1;
                    self.group(Scope::Values(field))
                }
                _ => self.value(field),
            };
        }
        let at = self.scanner.at();
        let text = self.quoted_or(Scanner::run)?;
        if text.is_empty() {
            return Err(self.scanner.error(at, "nothing to compare with", "write it without a space: status>=500"));
        }
        self.scanner.expect_end()?;
        let test = value::compare(field, operator, &text, self.now).map_err(|error| self.refused(at, &error))?;
        Ok(Query::Field(field.clone(), test))
    }

    fn value(&mut self, field: &Field) -> Result<Query, ParseError> {
        let at = self.scanner.at();
        let test = match self.scanner.peek() {
            Some('"') => {
                let text = self.scanner.quoted()?;
                value::equals(field, &text, self.now).map_err(|error| self.refused(at, &error))?
            }
            Some('/') => {
                let pattern = self.regex()?;
                value::regex(field, pattern).map_err(|error| self.refused(at, &error))?
            }
            Some('[' | '{') => self.range(field)?,
            _ => {
                let run = self.scanner.run();
                if run.is_empty() {
                    let hint = "write it right after the colon, * for any value, or put the text in double quotes";
                    return Err(self.scanner.error(at, "a field without a value", hint));
                }
                value::bare(field, run, self.now).map_err(|error| self.refused(at, &error))?
            }
        };
        self.scanner.expect_end()?;
        Ok(Query::Field(field.clone(), test))
    }

    fn range(&mut self, field: &Field) -> Result<Test, ParseError> {
        let open = self.scanner.at();
        let low_included = self.scanner.eat('[');
        if !low_included {
            self.scanner.eat('{');
        }
        let (low_at, low) = self.bound()?;
        self.scanner.skip_space();
        let to_at = self.scanner.at();
        let to = self.scanner.bound();
        let (high_at, high) = self.bound()?;
        self.scanner.skip_space();
        if to != "TO" || low.is_empty() || high.is_empty() {
            let hint = "write [500 TO 599], {500 TO 600} or [500 TO *], or put the text in double quotes";
            let at = if low.is_empty() { open } else { to_at };
            return Err(self.scanner.error(at, "a range needs two bounds with TO between them", hint));
        }
        let high_included = self.scanner.eat(']');
        if !high_included && !self.scanner.eat('}') {
            return Err(self.scanner.error(open, "this range is never closed", "add a ] or } after the second bound"));
        }
        let low = value::bound(field, value::Side::Low, &low, low_included, self.now)
            .map_err(|error| self.refused(low_at, &error))?;
        let high = value::bound(field, value::Side::High, &high, high_included, self.now)
            .map_err(|error| self.refused(high_at, &error))?;
        Ok(value::range(field, low, high))
    }

    fn bound(&mut self) -> Result<(usize, String), ParseError> {
        self.scanner.skip_space();
        let at = self.scanner.at();
        Ok((at, self.quoted_or(Scanner::bound)?))
    }

    fn quoted_or(&mut self, run: fn(&mut Scanner<'q>) -> &'q str) -> Result<String, ParseError> {
        match self.scanner.peek() {
            Some('"') => self.scanner.quoted(),
            _ => Ok(run(&mut self.scanner).to_owned()),
        }
    }

    fn regex(&mut self) -> Result<Pattern, ParseError> {
        let start = self.scanner.at();
        let source = self.scanner.regex()?;
        self.scanner.expect_end()?;
        self.regexes += 1;
        if self.regexes > REGEXES_MAX {
            let message = format!("the query has more than {REGEXES_MAX} regular expressions");
            return Err(self.scanner.error(start, message, "join them with | in one"));
        }
        Pattern::new(&source).map_err(|error| {
            let at = self.scanner.place_in_regex(start, error.offset);
            self.scanner.error(at, format!("in the regular expression: {error}"), "the syntax is RE2's")
        })
    }

    fn refused(&self, at: usize, error: &value::Refused) -> ParseError {
        self.scanner.error(at, error.message, error.hint)
    }
}

#[cfg(test)]
#[path = "parser_tests.rs"]
mod tests;
