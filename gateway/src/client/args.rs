//! The arguments of the commands that talk to a server, and their help.

use std::path::PathBuf;

use clap::{ArgAction, Args, Subcommand};

use super::access::Access;
use super::address::Server;

/// Exit code: the server cannot be reached.
pub const EXIT_UNREACHABLE: u8 = 3;
/// Exit code: stopped by a signal; as shells have it for ctrl-C.
pub const EXIT_INTERRUPTED: u8 = 130;

macro_rules! with_address_and_codes {
    ($examples:literal) => {
        concat!(
            $examples,
            "

Addresses (URL):
  moongate://HOST:PORT/path  on that server (without :PORT, 8888)
  http://HOST:PORT/path      the same, percent-decoded as in a browser (without :PORT, 80)
  https://HOST:PORT/path     the same by TLS (without :PORT, 443); --ca names who signed its certificate
  /path, mg:/path            on the server of --server or MOONGATE_URL, else 127.0.0.1:8888
  A slash at the end says that a folder is meant.

Exit codes:
  0  all was done
  1  some of it failed; each failure is a line on standard error
  2  the command line is wrong
  3  the server cannot be reached
  130  stopped by ctrl-C or SIGTERM"
        )
    };
}

/// Help of `put`.
pub const PUT_EXAMPLES: &str = with_address_and_codes!(
    "\
Examples:
  moongate put cat.jpg /pictures/
  moongate put photos /archive/            the folder itself: /archive/photos/...
  moongate put photos/ /archive/2026       what is in it: /archive/2026/...
  moongate put 'raw/*.png' raw/*.json moongate://10.0.0.5:8888/train/
  mysqldump db | moongate put - /backup/db.sql
  moongate put --unpack train.tar.gz /train/       its entries become files; - reads standard input

What is there already with the same size and CRC-32C is not sent again: to go on after an
interruption, run the same command.
Where it goes: URL with a slash at its end, or several SRC: into that folder, under SRC's name (of
SRC with a slash at its end only what is in it). URL without a slash: that is its new name."
);

/// Help of `get`.
pub const GET_EXAMPLES: &str = with_address_and_codes!(
    "\
Examples:
  moongate get /pictures/cat.jpg .
  moongate get /archive/photos .           the folder itself: ./photos/...
  moongate get /archive/photos/ here       what is in it: here/...
  moongate get '/train/*.json' '/train/0*/**/*.jpg' labels/
  moongate get /backup/db.sql - | mysql db
  moongate get --tar - /train/ | tar tv

What is here already with the same size and CRC-32C is not fetched again: to go on after an
interruption, run the same command.
Files are written under another name first, and renamed when they are whole and their checksum is
right.
In a URL, * and ? and [abc] match within a name, ** any folders; quote them from the shell."
);

/// Help of `ls`.
pub const LS_EXAMPLES: &str = with_address_and_codes!(
    "\
Examples:
  moongate ls /
  moongate ls -lh '/photos/*.jpg'
  moongate ls -R --json /photos | jq -r .FullPath"
);

/// Help of `stat`.
pub const STAT_EXAMPLES: &str = with_address_and_codes!(
    "\
Examples:
  moongate stat /photos/cat.jpg
  moongate stat --json /photos/*.jpg | jq .FileSize"
);

/// Help of `rm`.
pub const RM_EXAMPLES: &str = with_address_and_codes!(
    "\
Examples:
  moongate rm /photos/cat.jpg
  moongate rm '/photos/*.tmp'
  moongate rm -r /photos/2019"
);

/// Help of `cp` and `mv`.
pub const COPY_EXAMPLES: &str = with_address_and_codes!(
    "\
Examples:
  moongate cp /photos/cat.jpg /photos/dog.jpg
  moongate cp '/photos/*.jpg' /archive/
  moongate mv /photos/2019 /archive/
  moongate mv /photos/2019 /photos/old

The bytes do not leave the server: between here and there it is `put` and `get`.

Between mounts `mv` copies each file, compares the copy, and only then removes the file; folders go when they are empty. Where it was stopped, the
same command goes on: what has arrived is not copied again. What a killed server was just writing is named .moongate-mv-* there."
);

/// Help of `du`.
pub const DU_EXAMPLES: &str = with_address_and_codes!(
    "\
Examples:
  moongate du -h /photos
  moongate du --json '/photos/*'"
);

macro_rules! with_admin_and_codes {
    ($examples:literal) => {
        concat!(
            $examples,
            "

Exit codes:
  0  all was done
  1  it failed; standard error says why
  2  the command line is wrong
  3  the server cannot be reached
  130  stopped by ctrl-C or SIGTERM"
        )
    };
}

/// Help of `mount`.
pub const MOUNT_EXAMPLES: &str = with_admin_and_codes!(
    "\
Examples:
  moongate mount ls
  moongate mount add /data file:///srv/data
  moongate mount add /warehouse hdfs://namenode:8020/warehouse -o webhdfs=http://namenode:9870
  moongate mount add /pair hdfs://pair -o hadoop_conf=/etc/hadoop/conf -o ttl=10s
  moongate mount add /models s3://models/v2 -o endpoint=http://minio:9000 -o path_style=true
  moongate mount rm /data

Options (-o) are the keys of [[mount]] in docs/config.md; hadoop.KEY=VALUE sets a key of Hadoop's own
configuration. Added mounts are kept when the gateway starts again; those of the configuration file
are removed there."
);

/// Help of `load`.
pub const LOAD_EXAMPLES: &str = with_admin_and_codes!(
    "\
Examples:
  moongate load /warehouse/sales/2026
  moongate load --rate 100MB /models && moongate pin /models
  moongate load --json /data | tail -1 | jq .

What is in the cache already is skipped: to go on after an interruption, run the same command."
);

/// Help of `free`, `pin` and `unpin`.
pub const PATH_EXAMPLES: &str = with_admin_and_codes!(
    "\
Examples:
  moongate free /warehouse/sales/2025
  moongate pin /models/current
  moongate unpin /models/old"
);

/// Help of `cache`.
pub const CACHE_EXAMPLES: &str = with_admin_and_codes!(
    "\
Examples:
  moongate cache stat
  moongate cache stat /warehouse/sales"
);

/// Arguments of `moongate load`.
#[derive(Clone, Debug, Args)]
pub struct LoadArgs {
    /// Mounted files and folders
    #[arg(value_name = "PATH", required = true)]
    pub paths: Vec<String>,
    /// Whom to ask.
    #[command(flatten)]
    pub admin: Admin,
    /// Most bytes a second that are fetched, as 100MB
    #[arg(long, value_name = "SIZE")]
    pub rate: Option<String>,
    /// Files at once
    #[arg(short, long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub jobs: u16,
}

/// Arguments of `moongate free`, `pin` and `unpin`.
#[derive(Clone, Debug, Args)]
pub struct PathArgs {
    /// Mounted files and folders
    #[arg(value_name = "PATH", required = true)]
    pub paths: Vec<String>,
    /// Whom to ask.
    #[command(flatten)]
    pub admin: Admin,
}

/// Arguments of `moongate cache`.
#[derive(Clone, Debug, Args)]
pub struct CacheArgs {
    /// Whom to ask.
    #[command(flatten)]
    pub admin: Admin,
    /// What to do
    #[command(subcommand)]
    pub what: CacheCommand,
}

/// What `moongate cache` does.
#[derive(Clone, Debug, Subcommand)]
pub enum CacheCommand {
    /// Show how much of a path the cache holds
    Stat {
        /// A mounted file or folder, or a folder that leads to mounts
        #[arg(value_name = "PATH", default_value = "/")]
        path: String,
    },
}

/// The admin port of a gateway.
#[derive(Clone, Debug, Args)]
pub struct Admin {
    /// Admin port of the gateway [default: 127.0.0.1:9320]
    #[arg(long, value_name = "HOST:PORT", env = "MOONGATE_ADMIN", hide_env_values = true, value_parser = Server::parse, default_value = "127.0.0.1:9320", hide_default_value = true, global = true)]
    pub admin: Server,
    /// How it is trusted, and what shows who asks.
    #[command(flatten)]
    pub access: Access,
    /// JSON on standard output
    #[arg(long, global = true)]
    pub json: bool,
}

/// Arguments of `moongate mount`.
#[derive(Clone, Debug, Args)]
pub struct MountArgs {
    /// Whom to ask.
    #[command(flatten)]
    pub admin: Admin,
    /// What to do [default: ls]
    #[command(subcommand)]
    pub what: Option<MountCommand>,
}

/// What `moongate mount` does.
#[derive(Clone, Debug, Subcommand)]
pub enum MountCommand {
    /// Show what is mounted
    Ls,
    /// Mount a store at a path
    Add {
        /// Where it appears
        #[arg(value_name = "PATH")]
        path: String,
        /// What appears there: hdfs://namenode:8020/folder, s3://bucket/prefix or file:///folder
        #[arg(value_name = "STORE")]
        store: String,
        /// A key of [[mount]], such as ttl=10s or cache=false
        #[arg(short, long = "option", value_name = "KEY=VALUE")]
        options: Vec<String>,
    },
    /// Take a mount away; the store keeps what is in it
    Rm {
        /// Where it is
        #[arg(value_name = "PATH")]
        path: String,
    },
}

/// What every command that talks to a server takes.
#[derive(Clone, Debug, Args)]
pub struct Connection {
    /// Server of addresses that name none [default: moongate://127.0.0.1:8888]
    #[arg(long, value_name = "URL", env = "MOONGATE_URL", hide_env_values = true, value_parser = Server::parse, default_value = "127.0.0.1:8888", hide_default_value = true)]
    pub server: Server,
    /// Tries after the first, where the server is busy (429, 503) or the connection breaks
    ///
    /// They are made after 0.2 s, 0.4 s and so on up to 20 s, or when the server asks (Retry-After); they begin anew
    /// whenever something has come through. A server that never answered is not waited for.
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub retries: usize,
    /// How it is trusted, and what shows who asks.
    #[command(flatten)]
    pub access: Access,
}

/// What `put` and `get` both take.
#[derive(Clone, Debug, Args)]
pub struct Carrying {
    /// Server, and retries.
    #[command(flatten)]
    pub connection: Connection,
    /// Streams at once
    #[arg(short, long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub jobs: u16,
    /// Take for the same what has the same size and is not older, without reading it
    #[arg(long)]
    pub fast: bool,
    /// Carry over what is there already too
    #[arg(long, conflicts_with = "fast")]
    pub again: bool,
    /// Say nothing but errors
    #[arg(short, long)]
    pub quiet: bool,
    /// One line of JSON a file on standard output, and the totals as the last
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `moongate put`.
#[derive(Clone, Debug, Args)]
pub struct PutArgs {
    /// Files, folders, globs or - (standard input), and last the address
    #[arg(value_name = "SRC... URL", num_args = 2.., required = true)]
    pub paths: Vec<String>,
    /// What `get` takes too.
    #[command(flatten)]
    pub carrying: Carrying,
    /// SRC are tar files (plain, gzip or zstd): store what is in them, under the address
    #[arg(long)]
    pub unpack: bool,
    /// The server deletes the files after this time, as 30m, 12h, 3d, 2w
    #[arg(
        long,
        value_name = "TIME",
        default_value = "",
        hide_default_value = true
    )]
    pub ttl: String,
    /// Collection that the contents are stored in
    #[arg(
        long,
        value_name = "NAME",
        default_value = "",
        hide_default_value = true
    )]
    pub collection: String,
}

/// Arguments of `moongate get`.
#[derive(Clone, Debug, Args)]
pub struct GetArgs {
    /// Addresses with globs, and last the folder or file here, or - (standard output)
    #[arg(value_name = "URL... DEST", num_args = 1.., required = true)]
    pub paths: Vec<String>,
    /// What `put` takes too.
    #[command(flatten)]
    pub carrying: Carrying,
    /// Save one folder as a tar (- for standard output) instead; there is no DEST then
    #[arg(long, value_name = "FILE")]
    pub tar: Option<PathBuf>,
}

/// Arguments of `moongate ls`.
#[derive(Clone, Debug, Args)]
pub struct LsArgs {
    /// Addresses with globs
    #[arg(value_name = "URL", default_value = "/")]
    pub urls: Vec<String>,
    /// Server, and retries.
    #[command(flatten)]
    pub connection: Connection,
    /// Mode, size in bytes, time (UTC) and name
    #[arg(short)]
    pub long: bool,
    /// What is in the folders too
    #[arg(short = 'R', long)]
    pub recursive: bool,
    /// Sizes for people: 5.1 KiB
    #[arg(short = 'h', long)]
    pub human: bool,
    /// One line of JSON an entry
    #[arg(long)]
    pub json: bool,
    /// Print help
    #[arg(long, action = ArgAction::Help)]
    pub help: Option<bool>,
}

/// Arguments of `moongate stat`.
#[derive(Clone, Debug, Args)]
pub struct StatArgs {
    /// Addresses with globs
    #[arg(value_name = "URL", required = true)]
    pub urls: Vec<String>,
    /// Server, and retries.
    #[command(flatten)]
    pub connection: Connection,
    /// One line of JSON an entry, as the server has it
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `moongate rm`.
#[derive(Clone, Debug, Args)]
pub struct RmArgs {
    /// Addresses with globs
    #[arg(value_name = "URL", required = true)]
    pub urls: Vec<String>,
    /// Server, and retries.
    #[command(flatten)]
    pub connection: Connection,
    /// Folders with all that is in them
    #[arg(short, long)]
    pub recursive: bool,
    /// What is not there is no failure
    #[arg(short, long)]
    pub force: bool,
}

/// Arguments of `moongate cp` and `moongate mv`.
#[derive(Clone, Debug, Args)]
pub struct CopyArgs {
    /// Addresses with globs, and last where it goes: into it where it ends in a slash, else to this name
    #[arg(value_name = "URL... URL", num_args = 2.., required = true)]
    pub urls: Vec<String>,
    /// Server, and retries.
    #[command(flatten)]
    pub connection: Connection,
    /// Replace what is there
    #[arg(short, long)]
    pub force: bool,
}

/// Arguments of `moongate du`.
#[derive(Clone, Debug, Args)]
pub struct DuArgs {
    /// Addresses with globs
    #[arg(value_name = "URL", default_value = "/")]
    pub urls: Vec<String>,
    /// Server, and retries.
    #[command(flatten)]
    pub connection: Connection,
    /// Sizes for people: 5.1 KiB
    #[arg(short = 'h', long)]
    pub human: bool,
    /// One line of JSON an address
    #[arg(long)]
    pub json: bool,
    /// Print help
    #[arg(long, action = ArgAction::Help)]
    pub help: Option<bool>,
}
