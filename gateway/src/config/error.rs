//! What is wrong with a configuration, told so that it can be mended without reading the manual.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// Why there is no usable configuration. Its text is for the operator: print it as it is and exit.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: {source}\n  = help: name a configuration file that exists and may be read, or leave --config out to use the defaults", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The text or its values are wrong: all that was found, in the order of the checks, at least one.
    #[error("{}", listed(.0))]
    Wrong(Vec<Problem>),
}

impl ConfigError {
    /// What is wrong, one by one; none for [`ConfigError::Unreadable`].
    pub fn problems(&self) -> &[Problem] {
        match self {
            Self::Unreadable { .. } => &[],
            Self::Wrong(problems) => problems,
        }
    }
}

fn listed(problems: &[Problem]) -> String {
    problems
        .iter()
        .map(Problem::to_string)
        .collect::<Vec<_>>()
        .join("\n\n")
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where it was said; none where a default clashes with something.
    pub place: Option<Place>,
    /// What is wrong.
    pub message: String,
    /// What to do about it; may be empty.
    pub help: String,
}

/// Where a value was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In the file.
    File {
        /// The file's name as the user gave it.
        name: Arc<str>,
        /// Line, from 1.
        line: usize,
        /// Column in characters, from 1.
        column: usize,
        /// The line's text.
        excerpt: String,
        /// How many characters from `column` on are at fault.
        marked_chars: usize,
    },
    /// By a command line flag, such as `--image-listen`.
    Flag(&'static str),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some(Place::File {
                name,
                line,
                column,
                excerpt,
                marked_chars,
            }) => {
                writeln!(f, "{name}:{line}:{column}: {}", self.message)?;
                write_excerpt(f, *line, *column, excerpt, *marked_chars)?;
            }
            Some(Place::Flag(flag)) => write!(f, "{flag}: {}", self.message)?,
            None => f.write_str(&self.message)?,
        }
        if !self.help.is_empty() {
            write!(f, "\n  = help: {}", self.help)?;
        }
        Ok(())
    }
}

fn write_excerpt(
    f: &mut fmt::Formatter<'_>,
    line: usize,
    column: usize,
    text: &str,
    marked: usize,
) -> fmt::Result {
    let gutter = line.to_string();
    let blank = " ".repeat(gutter.len());
    let chars = text.chars().count();
    write!(f, " {gutter} | {text}")?;
    // A long line was cut; marks beyond the cut would point at nothing.
    if column <= chars + 1 {
        let marks = "^".repeat(marked.min(chars + 1 - column).max(1));
        write!(f, "\n {blank} | {}{marks}", " ".repeat(column - 1))?;
    }
    Ok(())
}
