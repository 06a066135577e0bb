//! Failures of a command that are not the end of it.

use super::error::ClientError;

/// How many there were.
#[derive(Debug, Default)]
pub struct Failures {
    count: u64,
}

impl Failures {
    /// Tells and counts one, if it is one.
    ///
    /// # Errors
    /// What is the end of all: the server is gone, or nobody reads what is written.
    pub fn take(&mut self, name: &str, result: Result<(), ClientError>) -> Result<(), ClientError> {
        match result {
            Ok(()) => Ok(()),
            Err(
                error @ (ClientError::Unreachable { .. }
                | ClientError::Local { .. }
                | ClientError::Usage(_)),
            ) => Err(error),
            Err(error) => {
                self.count += 1;
                eprintln!("moongate: {name}: {error}");
                Ok(())
            }
        }
    }

    /// Whether there were any.
    pub const fn any(&self) -> bool {
        self.count > 0
    }
}
