//! The `moongate` program.

use std::process::ExitCode;

use clap::Parser as _;
use moongate::cli::{CheckConfigArgs, Cli, Command, EXIT_PROBLEMS, ServeArgs, VersionArgs};
use moongate::config::Config;
use moongate::{client, fsck, log, policy, serve, token};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Serve(args) => run_serve(&args),
        Command::CheckConfig(args) => check_config(&args),
        Command::Fsck(args) => fsck::run(&args).map(ExitCode::from),
        Command::Token(args) => match token::run(&args) {
            Ok(true) => Ok(ExitCode::SUCCESS),
            Ok(false) => ask(&Command::Token(args)),
            Err(error) => Err(error),
        },
        Command::Version(args) => version(&args),
        Command::Policy(args) => match policy::run(&args) {
            Some(done) => done,
            None => ask(&Command::Policy(args)),
        },
        command => ask(&command),
    };
    done.unwrap_or_else(|error| {
        eprintln!("moongate: {error:#}");
        ExitCode::from(EXIT_PROBLEMS)
    })
}

fn ask(command: &Command) -> anyhow::Result<ExitCode> {
    let code = client::run(command)?;
    Ok(code.unwrap_or(ExitCode::SUCCESS))
}

fn run_serve(args: &ServeArgs) -> anyhow::Result<ExitCode> {
    let config = Config::for_serve(args)?;
    log::start(&config.log);
    serve::run(config)?;
    Ok(ExitCode::SUCCESS)
}

#[allow(clippy::print_stdout)]
fn check_config(args: &CheckConfigArgs) -> anyhow::Result<ExitCode> {
    Config::load(&args.file)?.validate()?;
    println!("{}: ok", args.file.display());
    Ok(ExitCode::SUCCESS)
}

#[allow(clippy::print_stdout)]
fn version(args: &VersionArgs) -> anyhow::Result<ExitCode> {
    let version = env!("CARGO_PKG_VERSION");
    if args.json {
        println!(
            "{}",
            serde_json::json!({ "name": "moongate", "version": version })
        );
    } else {
        println!("moongate {version}");
    }
    Ok(ExitCode::SUCCESS)
}
