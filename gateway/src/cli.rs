//! The command line: its arguments and their help, which is its documentation. Nothing is carried out here.

#![cfg_attr(test, allow(clippy::unwrap_used))]

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::client::args as client;
use crate::token;

/// Exit code: done, and nothing wrong was found.
pub const EXIT_OK: u8 = 0;
/// Exit code: it failed, or it found problems (a wrong configuration, damaged volumes).
pub const EXIT_PROBLEMS: u8 = 1;
/// Exit code: the command line itself is wrong. Clap's own.
pub const EXIT_USAGE: u8 = 2;

const EXIT_CODES: &str = "\
Exit codes:
  0  done; nothing wrong was found
  1  failed, or found problems; they are on standard error
  2  the command line is wrong";

const ROOT_EXAMPLES: &str = "\
Examples:
  moongate serve
      A gateway on 127.0.0.1:9333 with its volumes in ./moongate-data. Then, from another terminal:
        curl http://127.0.0.1:9333/dir/assign
        curl -F file=@cat.jpg http://127.0.0.1:9333/FID     (FID: the \"fid\" of that answer)
        curl 'http://127.0.0.1:9333/FID?width=200' -o small.jpg
  moongate put photos /archive/
  moongate ls -lh /archive/photos
  moongate get /archive/photos .
  moongate check-config /etc/moongate.toml
  moongate fsck /var/lib/moongate

Exit codes:
  0  done; nothing wrong was found
  1  failed, or found problems; they are on standard error
  2  the command line is wrong
  3  the server cannot be reached (all but serve, check-config, fsck, version)";

const SERVE_EXAMPLES: &str = "\
Examples:
  moongate serve
  moongate serve --config /etc/moongate.toml
  moongate serve --data /disk1/moongate --data /disk2/moongate
  moongate serve --image-listen 0.0.0.0:9333 --public-url images.example.com:9333 --allow-anonymous

Signals:
  SIGTERM, SIGINT  stop listening, finish the requests in flight (limits.drain_timeout, 30s), exit 0

Exit codes:
  0  stopped by a signal, everything acknowledged is kept
  1  failed: a wrong configuration, an address in use, a folder that cannot be opened
  2  the command line is wrong";

const CHECK_EXAMPLES: &str = "\
Examples:
  moongate check-config /etc/moongate.toml && systemctl restart moongate

Exit codes:
  0  the file is good
  1  it is not; every mistake is on standard error, with its line and what to write instead
  2  the command line is wrong";

const FSCK_EXAMPLES: &str = "\
Examples:
  moongate fsck /var/lib/moongate
  moongate fsck /var/lib/moongate --json | jq .
  moongate fsck /var/lib/moongate --repair

Exit codes:
  0  every volume is whole, or was made so by --repair
  1  problems were found and are left, or the folder cannot be read
  2  the command line is wrong";

/// Moongate, a storage gateway: small images over HTTP.
///
/// One program serves images by SeaweedFS's HTTP calls, from volumes of needles on local disks. What is
/// acknowledged is on the disk. A folder of SeaweedFS volumes opens in place.
#[derive(Debug, Clone, Parser)]
#[command(name = "moongate", version, max_term_width = 100, arg_required_else_help = true, after_long_help = ROOT_EXAMPLES, after_help = "Run a command with --help for its flags, units, defaults and examples.")]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Run the gateway.
    ///
    /// Runs the gateway in the foreground until SIGTERM or SIGINT; the log goes to standard error. Settings come
    /// from the file of --config where there is one, else from the defaults; the flags here override both. Listens
    /// on loopback only, unless the file asks who calls (auth.methods), or --allow-anonymous says that anyone who can connect may
    /// read and write.
    #[command(after_long_help = SERVE_EXAMPLES)]
    Serve(ServeArgs),
    /// Send files and folders to a server.
    ///
    /// Sends files, folders with all that is in them, globs, or standard input (-) to the file port of a server. Small
    /// files go together in batches over several streams, large ones alone. What was stored is compared with what was
    /// sent (CRC-32C).
    #[command(after_long_help = client::PUT_EXAMPLES, override_usage = "moongate put [OPTIONS] SRC... URL")]
    Put(client::PutArgs),
    /// Fetch files and folders from a server.
    ///
    /// Fetches files, folders with all that is in them, or what globs match from the file port of a server, to a folder,
    /// a file, or standard output (-). Small files come together in batches over several streams, large ones alone.
    #[command(after_long_help = client::GET_EXAMPLES, override_usage = "moongate get [OPTIONS] URL... DEST\n       moongate get [OPTIONS] --tar FILE URL")]
    Get(client::GetArgs),
    /// List folders on a server.
    ///
    /// Lists folders on the file port of a server, or what globs match, in order of their names. Folders end in a slash.
    #[command(after_long_help = client::LS_EXAMPLES, disable_help_flag = true)]
    Ls(client::LsArgs),
    /// Tell what is known of files and folders on a server.
    ///
    /// Tells size, media type, checksum, time and mode.
    #[command(after_long_help = client::STAT_EXAMPLES)]
    Stat(client::StatArgs),
    /// Remove files and folders on a server.
    ///
    /// Removes files, what globs match, and with -r folders.
    #[command(after_long_help = client::RM_EXAMPLES)]
    Rm(client::RmArgs),
    /// Copy files and folders on a server.
    ///
    /// Copies files and folders with all that is in them to another name or folder of the same server.
    #[command(after_long_help = client::COPY_EXAMPLES, override_usage = "moongate cp [OPTIONS] URL... URL")]
    Cp(client::CopyArgs),
    /// Move or rename files and folders on a server.
    ///
    /// Moves files and folders with all that is in them, at once, to another name or folder of the same server.
    #[command(after_long_help = client::COPY_EXAMPLES, override_usage = "moongate mv [OPTIONS] URL... URL")]
    Mv(client::CopyArgs),
    /// Add up the sizes of folders on a server.
    ///
    /// Adds up the files below a folder and their bytes; the server counts.
    #[command(after_long_help = client::DU_EXAMPLES, disable_help_flag = true)]
    Du(client::DuArgs),
    /// Show and change what is mounted on a gateway.
    ///
    /// Mounts bind folders of other stores (HDFS, S3, local folders) to paths of the gateway, where they are read through
    /// its cache. Talks to the admin port.
    #[command(after_long_help = client::MOUNT_EXAMPLES)]
    Mount(client::MountArgs),
    /// Bring mounted files into the cache.
    ///
    /// Brings in files, and folders with all that is in them, so that the first reader already finds them in the cache. Talks to
    /// the admin port.
    #[command(after_long_help = client::LOAD_EXAMPLES)]
    Load(client::LoadArgs),
    /// Take mounted files out of the cache.
    ///
    /// Lets go what the cache holds of files and folders, pinned or not. The files themselves stay.
    #[command(after_long_help = client::PATH_EXAMPLES)]
    Free(client::PathArgs),
    /// Keep mounted files in the cache.
    ///
    /// What the cache holds of these files and folders, or will hold, is not let go for others. It needs a cache disk.
    #[command(after_long_help = client::PATH_EXAMPLES)]
    Pin(client::PathArgs),
    /// Take back a pin.
    ///
    /// What was pinned may be let go for others again.
    #[command(after_long_help = client::PATH_EXAMPLES)]
    Unpin(client::PathArgs),
    /// Show what the cache holds.
    #[command(after_long_help = client::CACHE_EXAMPLES)]
    Cache(client::CacheArgs),
    /// Test, explain and refresh policies.
    ///
    /// Policies are Ranger's: they say who may do what to which paths. Suites and explanations of a file need no gateway; the rest
    /// talks to the admin port.
    #[command(after_long_help = crate::policy::args::POLICY_EXAMPLES)]
    Policy(crate::policy::args::PolicyArgs),
    /// Check a configuration file, and explain its mistakes.
    ///
    /// Reads a configuration file as `serve --config` would, checks every key, unit and range, and opens nothing.
    /// Mistakes are shown as file:line:column, with the line and with what to write instead. All keys with their
    /// defaults are in docs/config.md.
    #[command(after_long_help = CHECK_EXAMPLES)]
    CheckConfig(CheckConfigArgs),
    /// Check the volumes in a folder.
    ///
    /// Reads every volume in DIR from end to end and checks each needle's CRC-32C, the index against the data, and
    /// each commit's checksum. Reads only, unless --repair is given. Do not run it on a folder that a gateway is
    /// serving: it refuses to.
    #[command(after_long_help = FSCK_EXAMPLES)]
    Fsck(FsckArgs),
    /// Make and read tokens and access keys; get, renew and cancel delegation tokens.
    ///
    /// Makes access keys for the file of auth.keys, tokens of single file ids, and shows what is in a token: for these it talks to no server. Hadoop's
    /// delegation tokens are got, renewed and cancelled at a gateway.
    #[command(after_long_help = token::EXAMPLES)]
    Token(token::TokenArgs),
    /// Tell who a gateway takes the caller for.
    ///
    /// Asks the gateway who it takes the caller for: user, groups, tenant, and how that was shown.
    #[command(after_long_help = crate::client::whoami::EXAMPLES)]
    Whoami(crate::client::whoami::WhoamiArgs),
    /// Print the version.
    ///
    /// Prints the version and what it was built for.
    #[command(after_long_help = EXIT_CODES)]
    Version(VersionArgs),
}

/// Arguments of `moongate serve`; they override the configuration file.
#[derive(Debug, Clone, Default, Args)]
pub struct ServeArgs {
    /// Configuration file (TOML).
    ///
    /// Every key has a default, so none is needed. Check one with `moongate check-config FILE`.
    #[arg(
        long,
        value_name = "FILE",
        env = "MOONGATE_CONFIG",
        hide_env_values = true
    )]
    pub config: Option<PathBuf>,
    /// Folder for volumes; repeat it for several disks [default: ./moongate-data]
    ///
    /// It is made where it is missing. Given once or more, these folders replace those of `haystack.data`.
    #[arg(long, value_name = "DIR")]
    pub data: Vec<PathBuf>,
    /// Address of the image port, IP:PORT [default: 127.0.0.1:9333]
    ///
    /// Port 0 takes a free one, and the log tells which. Anything but loopback needs --allow-anonymous.
    #[arg(long, value_name = "ADDR")]
    pub image_listen: Option<SocketAddr>,
    /// Address of the file port, IP:PORT [default: 127.0.0.1:8888]
    ///
    /// Port 0 takes a free one, and the log tells which. Anything but loopback needs --allow-anonymous.
    #[arg(long, value_name = "ADDR")]
    pub file_listen: Option<SocketAddr>,
    /// Address of the operator's port (health, metrics, status), IP:PORT [default: 127.0.0.1:9320]
    ///
    /// Port 0 takes a free one, and the log tells which. Anything but loopback needs --allow-anonymous.
    #[arg(long, value_name = "ADDR")]
    pub admin_listen: Option<SocketAddr>,
    /// Address of hdfs:// for clients of Hadoop, IP:PORT [default: off]
    ///
    /// Port 0 takes a free one, and the log tells which. The bytes of files come from port 9866 beside it (hdfs.data_listen).
    /// Anything but loopback needs --allow-anonymous.
    #[arg(long, value_name = "ADDR")]
    pub hdfs_listen: Option<SocketAddr>,
    /// HOST:PORT that clients are told to use for images [default: the address bound]
    ///
    /// Goes into the answers to assign and lookup. With --image-listen 0.0.0.0:PORT the default is the host that the client asked.
    #[arg(long, value_name = "HOST:PORT")]
    pub public_url: Option<String>,
    /// Serve everybody who can connect; needed to listen beyond loopback
    ///
    /// Where auth.methods asks nobody who they are, whoever can connect can read, write and delete everything.
    #[arg(long)]
    pub allow_anonymous: bool,
}

/// Arguments of `moongate check-config`.
#[derive(Debug, Clone, Args)]
pub struct CheckConfigArgs {
    /// Configuration file (TOML).
    #[arg(value_name = "FILE", env = "MOONGATE_CONFIG", hide_env_values = true)]
    pub file: PathBuf,
}

/// Arguments of `moongate fsck`.
#[derive(Debug, Clone, Args)]
pub struct FsckArgs {
    /// Folder with volumes (*.dat, *.idx).
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// Mend what can be mended
    ///
    /// Cuts off a torn tail and builds an index again from its data. Never removes a needle that can be read.
    #[arg(long)]
    pub repair: bool,
    /// Print the findings as JSON on standard output
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `moongate version`.
#[derive(Debug, Clone, Args)]
pub struct VersionArgs {
    /// Print it as JSON
    #[arg(long)]
    pub json: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use clap::error::ErrorKind;

    use super::*;

    fn parse(line: &str) -> Result<Command, clap::Error> {
        Cli::try_parse_from(line.split(' ')).map(|cli| cli.command)
    }

    #[test]
    fn clap_finds_no_fault() {
        Cli::command().debug_assert();
    }

    #[test]
    fn each_help_names_its_flags_and_exit_codes() {
        for (name, mentioned) in [
            (
                "serve",
                &[
                    "--config <FILE>",
                    "MOONGATE_CONFIG",
                    "--data <DIR>",
                    "--image-listen <ADDR>",
                    "127.0.0.1:9333",
                    "--file-listen <ADDR>",
                    "--admin-listen <ADDR>",
                    "--hdfs-listen <ADDR>",
                    "--public-url <HOST:PORT>",
                    "--allow-anonymous",
                    "SIGTERM",
                ][..],
            ),
            ("check-config", &["<FILE>", "MOONGATE_CONFIG"]),
            ("fsck", &["<DIR>", "--repair", "--json"]),
            ("version", &["--json"]),
            (
                "put",
                &[
                    "--jobs",
                    "--unpack",
                    "--fast",
                    "--json",
                    "MOONGATE_URL",
                    "moongate://HOST:PORT/path",
                    "  3  the server",
                ],
            ),
            (
                "get",
                &[
                    "--jobs",
                    "--tar <FILE>",
                    "--again",
                    "--retries",
                    "MOONGATE_URL",
                    "mg:/path",
                    "130",
                ],
            ),
            ("ls", &["-l", "-R", "-h", "--json", "--help"]),
            ("stat", &["--json"]),
            ("rm", &["--recursive", "--force"]),
            (
                "load",
                &["--rate <SIZE>", "--jobs", "--json", "MOONGATE_ADMIN"],
            ),
            ("free", &["MOONGATE_ADMIN"]),
            ("pin", &["MOONGATE_ADMIN"]),
            ("unpin", &["MOONGATE_ADMIN"]),
            ("cache", &["stat", "MOONGATE_ADMIN"]),
            ("mount", &["ls", "add", "rm", "MOONGATE_ADMIN", "--json"]),
            ("cp", &["--force"]),
            ("mv", &["--force"]),
            ("du", &["-h", "--json"]),
        ] {
            let mut root = Cli::command();
            root.build();
            let help = root
                .find_subcommand_mut(name)
                .unwrap()
                .render_long_help()
                .to_string();
            for text in mentioned
                .iter()
                .chain(&["Exit codes:", "  2  the command line is wrong"])
            {
                assert!(
                    help.contains(text),
                    "{name} --help does not mention {text}:\n{help}"
                );
            }
        }
    }

    #[test]
    fn a_server_is_an_address_or_a_mistake() {
        assert!(parse("moongate ls --server moongate://h:1 /a").is_ok());
        for line in [
            "moongate ls --server https://u@h",
            "moongate put a",
            "moongate put -j 0 a /b",
        ] {
            assert_eq!(
                parse(line).unwrap_err().exit_code(),
                i32::from(EXIT_USAGE),
                "{line}"
            );
        }
    }

    #[test]
    fn serve_takes_several_disks() {
        let line = "moongate serve --data /a --data /b --image-listen [::1]:0 --allow-anonymous";
        let Ok(Command::Serve(args)) = parse(line) else {
            panic!("not parsed")
        };
        assert_eq!(args.data, [PathBuf::from("/a"), PathBuf::from("/b")]);
        assert_eq!(args.image_listen, Some("[::1]:0".parse().unwrap()));
        assert!(args.allow_anonymous && args.file_listen.is_none());
    }

    #[test]
    fn mistakes_are_usage_errors() {
        for (line, kind) in [
            (
                "moongate",
                ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand,
            ),
            ("moongate frobnicate", ErrorKind::InvalidSubcommand),
            (
                "moongate serve --image-listen 9333",
                ErrorKind::ValueValidation,
            ),
            ("moongate fsck", ErrorKind::MissingRequiredArgument),
            ("moongate fsck /a --fix", ErrorKind::UnknownArgument),
        ] {
            let error = parse(line).unwrap_err();
            assert_eq!(error.kind(), kind, "{line}");
            assert_eq!(error.exit_code(), i32::from(EXIT_USAGE), "{line}");
        }
    }
}
