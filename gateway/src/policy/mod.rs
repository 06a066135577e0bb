//! Policies in the gateway: where they come from and stay ([`source`], [`download`]), what is checked before an operation
//! ([`gatekeeper`]) and written down after it ([`audit`]); and `moongate policy` without a gateway: suites, and questions to the policies of
//! a file. Questions to a running gateway are `client/policy`.

pub mod args;
pub mod audit;
mod download;
mod explain;
pub mod gatekeeper;
pub mod own;
pub mod source;
mod test;

use std::process::ExitCode;

use self::args::{PolicyArgs, PolicyCommand};

pub use self::explain::text as explained;

/// Carries out what needs no gateway; `None` if one is to be asked.
pub fn run(args: &PolicyArgs) -> Option<anyhow::Result<ExitCode>> {
    match &args.what {
        PolicyCommand::Test(args) => Some(test::run(args)),
        PolicyCommand::Explain(args) => args.file.as_ref().map(|file| explain::run(file, args)),
        PolicyCommand::Status(_) | PolicyCommand::Refresh(_) => None,
    }
}
