//! Values of policies that are the same for every request, or have macros (`{USER}`) that each request fills.

use std::cell::RefCell;

use super::context::Context;
use super::glob;

/// A value.
#[derive(Clone, Debug)]
pub(super) enum Text {
    /// The same for all.
    Plain(Box<str>),
    /// With macros.
    Template(Box<[Piece]>),
}

/// A piece of a value with macros.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// As it stands.
    Literal(Box<str>),
    /// `{USER}`
    User,
    /// `{OWNER}`, as it stands where the owner is not known.
    Owner,
    /// `{FILENAME}`, of a file.
    FileName,
    /// `{BASE_FILENAME}`: up to its last point.
    BaseFileName,
}

thread_local! {
    /// Where values with macros are filled, so that a decision allocates nothing.
    static FILLED: RefCell<String> = const { RefCell::new(String::new()) };
}

impl Text {
    /// Reads a value; `fold` makes letters of either case the same.
    pub(super) fn new(value: &str, fold: bool) -> Self {
        let has_macro = value.contains('\\') || (value.contains('{') && value.contains('}'));
        let fix = |text: &str| -> Box<str> {
            if fold {
                glob::folded(text).into()
            } else {
                text.into()
            }
        };
        if !has_macro {
            return Self::Plain(fix(value));
        }
        Self::Template(pieces(value, &fix).into())
    }

    /// What each request's value begins with.
    pub(super) fn literal_start(&self) -> &str {
        match self {
            Self::Plain(text) => text,
            Self::Template(pieces) => match pieces.first() {
                Some(Piece::Literal(text)) => text,
                _ => "",
            },
        }
    }

    /// The value, if it is the same for all requests.
    pub(super) fn plain(&self) -> Option<&str> {
        match self {
            Self::Plain(text) => Some(text),
            Self::Template(_) => None,
        }
    }

    /// Whether it has the owner of a path in it.
    pub(super) fn names_owner(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Template(pieces) => pieces.iter().any(|piece| matches!(piece, Piece::Owner)),
        }
    }

    /// Calls with the value as this request has it.
    pub(super) fn with<R>(&self, context: &Context<'_>, call: impl FnOnce(&str) -> R) -> R {
        match self {
            Self::Plain(text) => call(text),
            Self::Template(pieces) => FILLED.with(|filled| {
                // Never taken twice: what is called compares text, and has no values of its own.
                let Ok(mut filled) = filled.try_borrow_mut() else {
                    return call(&fill(pieces, context, String::new()));
                };
                filled.clear();
                let text = fill(pieces, context, std::mem::take(&mut *filled));
                let answer = call(&text);
                *filled = text;
                answer
            }),
        }
    }
}

fn fill(pieces: &[Piece], context: &Context<'_>, mut into: String) -> String {
    for piece in pieces {
        let (text, name) = match piece {
            Piece::Literal(text) => {
                into.push_str(text);
                continue;
            }
            Piece::User => (Some(context.user).filter(|user| !user.is_empty()), "{USER}"),
            Piece::Owner => (context.owner, "{OWNER}"),
            Piece::FileName => (context.file_name(), "{FILENAME}"),
            Piece::BaseFileName => (context.base_file_name(), "{BASE_FILENAME}"),
        };
        let text = text.unwrap_or(name);
        if context.fold {
            into.push_str(&glob::folded(text));
        } else {
            into.push_str(text);
        }
    }
    into
}

/// `\` takes the next character as it stands; `{NAME}` is a macro if we know it.
fn pieces(value: &str, fix: &dyn Fn(&str) -> Box<str>) -> Vec<Piece> {
    let mut found = Vec::new();
    let mut literal = String::new();
    let mut rest = value.chars();
    while let Some(c) = rest.next() {
        match c {
            '\\' => literal.extend(rest.next()),
            '{' => match token(&mut rest) {
                Ok(name) => match known(&name) {
                    Some(piece) => {
                        if !literal.is_empty() {
                            found.push(Piece::Literal(fix(&literal)));
                            literal.clear();
                        }
                        found.push(piece);
                    }
                    None => literal.push_str(&format!("{{{name}}}")),
                },
                Err(unended) => literal.push_str(&format!("{{{unended}")),
            },
            c => literal.push(c),
        }
    }
    if !literal.is_empty() || found.is_empty() {
        found.push(Piece::Literal(fix(&literal)));
    }
    found
}

/// A macro's name, or what stands where one does not end.
fn token(rest: &mut std::str::Chars<'_>) -> Result<String, String> {
    let mut name = String::new();
    while let Some(c) = rest.next() {
        match c {
            '\\' => name.extend(rest.next()),
            '}' => return Ok(name),
            c => name.push(c),
        }
    }
    Err(name)
}

fn known(name: &str) -> Option<Piece> {
    match name {
        "USER" => Some(Piece::User),
        "OWNER" => Some(Piece::Owner),
        "FILENAME" => Some(Piece::FileName),
        "BASE_FILENAME" => Some(Piece::BaseFileName),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(value: &str) -> String {
        let context = Context {
            user: "al",
            owner: None,
            path: "/x/data.tar.gz",
            is_file: true,
            ..Context::default()
        };
        Text::new(value, false).with(&context, str::to_owned)
    }

    #[test]
    fn macros() {
        for (value, want) in [
            ("/user/{USER}/x", "/user/al/x"),
            ("/proj/{OWNER}", "/proj/{OWNER}"),
            ("/a/{UNKNOWN}/{USER}", "/a/{UNKNOWN}/al"),
            (r"/a/\{USER}", "/a/{USER}"),
            ("/a/{USER", "/a/{USER"),
            ("{FILENAME}|{BASE_FILENAME}", "data.tar.gz|data.tar"),
            (r"\", ""),
        ] {
            assert_eq!(filled(value), want, "{value}");
        }
    }
}
