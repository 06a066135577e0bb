//! docs/command-line.md: its second half is the help of the commands, word for word, and a test holds it to that.

use clap::CommandFactory as _;

use crate::cli::Cli;

const COMMANDS: [&str; 17] = [
    "put", "get", "ls", "stat", "rm", "cp", "mv", "du", "mount", "load", "free", "pin", "unpin",
    "cache", "policy", "token", "whoami",
];
const MARK: &str = "<!-- From here on made by `make docs`. -->\n";
const PATH: &str = "../docs/command-line.md";

fn helps() -> String {
    let mut root = Cli::command().term_width(100);
    root.build();
    let mut text = String::new();
    for name in COMMANDS {
        let Some(command) = root.find_subcommand_mut(name) else {
            continue;
        };
        let help = command.render_long_help().to_string();
        let lines = help.lines().map(str::trim_end).collect::<Vec<_>>();
        text += &format!(
            "\n## moongate {name}\n\n```text\n{}\n```\n",
            lines.join("\n").trim_end()
        );
    }
    text
}

#[test]
fn the_command_line_reference_is_the_help() {
    let page = std::fs::read_to_string(PATH).unwrap();
    let (intro, given) = page.split_once(MARK).unwrap();
    let made = helps();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(PATH, format!("{intro}{MARK}{made}")).unwrap();
    } else {
        assert_eq!(
            given, made,
            "docs/command-line.md is not the help: `make docs` makes it anew"
        );
    }
}
