//! Arguments of `moongate policy`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::client::args::Admin;

/// Examples of `moongate policy`.
pub const POLICY_EXAMPLES: &str = "\
Examples:
  moongate policy status
  moongate policy refresh
  moongate policy explain --user alice --groups etl,dev --path /warehouse/sales --access READ
  moongate policy explain --file policies.json --user alice --path /warehouse/sales --access READ_EXECUTE
  moongate policy test suites.json

Exit codes:
  0  done; every case passed
  1  failed, or a case did not pass
  2  the command line is wrong
  3  the server cannot be reached";

/// Arguments of `moongate policy`.
#[derive(Clone, Debug, Args)]
pub struct PolicyArgs {
    /// What to do.
    #[command(subcommand)]
    pub what: PolicyCommand,
}

/// What `moongate policy` does.
#[derive(Clone, Debug, Subcommand)]
pub enum PolicyCommand {
    /// Run suites of questions with their answers, and tell each difference
    Test(TestArgs),
    /// Tell why somebody may or may not: zone, tags, every policy that is asked, and the one that decides
    Explain(ExplainArgs),
    /// Show what each source of policies holds: version, age, last error
    Status(StatusArgs),
    /// Ask Ranger Admin again now
    Refresh(StatusArgs),
}

/// Arguments of `moongate policy test`.
#[derive(Clone, Debug, Args)]
pub struct TestArgs {
    /// Files of suites, in the format ranger-oracle/1
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// Then ask all of it over and over for about so many seconds, and tell the CPU time of one decision
    #[arg(long, value_name = "SECS")]
    pub time: Option<u64>,
}

/// Arguments of `moongate policy status` and `refresh`.
#[derive(Clone, Debug, Args)]
pub struct StatusArgs {
    /// Which gateway.
    #[command(flatten)]
    pub admin: Admin,
}

/// Arguments of `moongate policy explain`.
#[derive(Clone, Debug, Args)]
pub struct ExplainArgs {
    /// Who
    #[arg(long, value_name = "NAME")]
    pub user: String,
    /// Their groups, with commas; without it the gateway has none for them
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    pub groups: Vec<String>,
    /// Which path
    #[arg(long, value_name = "PATH")]
    pub path: String,
    /// READ, WRITE, EXECUTE, READ_EXECUTE, READ_WRITE, WRITE_EXECUTE or ALL
    #[arg(long, value_name = "ACCESS", default_value = "READ")]
    pub access: String,
    /// Owner of the path, for {OWNER}; a gateway looks it up itself
    #[arg(long, value_name = "NAME")]
    pub owner: Option<String>,
    /// Ask the policies of this file (what Ranger Admin's download answers) and no gateway
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Which gateway.
    #[command(flatten)]
    pub admin: Admin,
}
