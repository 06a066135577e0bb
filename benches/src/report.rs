//! The report in Markdown.

use std::fmt::Write;

use crate::bench::Outcome;
use crate::figures::{Section, Table, Verdict, rounded};
use crate::machine::Machine;

/// How the run was made, for the reader to repeat it.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Rounds each.
    pub rounds: usize,
    /// Length of one round in seconds.
    pub window_secs: f64,
    /// A quick run, not to be quoted.
    pub quick: bool,
}

/// The whole document.
pub fn markdown(machine: &Machine, setting: &Setting, outcomes: &[Outcome]) -> String {
    let mut out = String::new();
    // A String takes every write.
    let _ = write_all(&mut out, machine, setting, outcomes);
    out
}

fn write_all(
    out: &mut String,
    machine: &Machine,
    setting: &Setting,
    outcomes: &[Outcome],
) -> std::fmt::Result {
    writeln!(out, "# Benchmarks\n")?;
    write_intro(out, setting)?;
    write_machine(out, machine)?;
    write_verdicts(out, outcomes)?;
    outcomes
        .iter()
        .try_for_each(|outcome| write_section(out, outcome))
}

fn write_intro(out: &mut String, setting: &Setting) -> std::fmt::Result {
    writeln!(
        out,
        "Written by `make bench`. Every floor ran in turn with what it is compared with: {} rounds of {} s each, of which the \
         medians are shown. CPU is user and system time of the server process alone, by operation; the load generator runs \
         on the same cores, so read the CPU column before the rates.\n",
        setting.rounds, setting.window_secs
    )?;
    if setting.quick {
        writeln!(
            out,
            "**A quick run: short rounds and few needles. Not to be quoted.**\n"
        )?;
    }
    Ok(())
}

fn write_machine(out: &mut String, machine: &Machine) -> std::fmt::Result {
    let Machine {
        cpu,
        cores,
        memory,
        kernel,
        filesystem,
        load,
        date,
        commit,
    } = machine;
    writeln!(out, "| | |\n| --- | --- |")?;
    writeln!(out, "| machine | {cpu}, {cores} cores, {memory} memory |")?;
    writeln!(
        out,
        "| kernel, file system | Linux {kernel}, {filesystem} |"
    )?;
    writeln!(out, "| load average at the start | {load} |")?;
    writeln!(out, "| date | {date} |\n| commit | {commit} |\n")
}

fn write_verdicts(out: &mut String, outcomes: &[Outcome]) -> std::fmt::Result {
    writeln!(out, "## Targets\n")?;
    writeln!(
        out,
        "| work | measured | floor | compared | limit | reached |"
    )?;
    writeln!(out, "| --- | ---: | ---: | ---: | ---: | --- |")?;
    for outcome in outcomes {
        match &outcome.section {
            Ok(section) => section
                .verdicts
                .iter()
                .try_for_each(|verdict| write_verdict(out, verdict))?,
            Err(_) => writeln!(out, "| {} | failed | - | - | - | **no** |", outcome.name)?,
        }
    }
    writeln!(out)
}

fn write_verdict(out: &mut String, verdict: &Verdict) -> std::fmt::Result {
    let Verdict {
        work,
        measured,
        floor,
        compared,
        limit,
        unit,
    } = verdict;
    let reached = if verdict.is_reached() {
        "yes"
    } else {
        "**no**"
    };
    writeln!(
        out,
        "| {work} | {measured} | {floor} | {} {unit} | {limit} {unit} | {reached} |",
        rounded(*compared)
    )
}

fn write_section(out: &mut String, outcome: &Outcome) -> std::fmt::Result {
    match &outcome.section {
        Ok(Section {
            title,
            about,
            table,
            ..
        }) => {
            writeln!(out, "## {title}\n\n{about}\n")?;
            write_table(out, table)
        }
        Err(error) => writeln!(
            out,
            "## {}\n\nFailed:\n\n```\n{error:#}\n```\n",
            outcome.name
        ),
    }
}

fn write_table(out: &mut String, table: &Table) -> std::fmt::Result {
    writeln!(out, "| {} |", table.head.join(" | "))?;
    writeln!(
        out,
        "| --- |{}",
        " ---: |".repeat(table.head.len().saturating_sub(1))
    )?;
    for row in &table.rows {
        writeln!(out, "| {} |", row.join(" | "))?;
    }
    writeln!(out)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn report(outcomes: &[Outcome]) -> String {
        let setting = Setting {
            rounds: 5,
            window_secs: 2.0,
            quick: true,
        };
        markdown(&Machine::default(), &setting, outcomes)
    }

    #[test]
    fn a_missed_target_and_a_failure_are_plain_to_see() {
        let verdicts = vec![
            Verdict::cpu("GET", 12.0, 10.0, 1.5),
            Verdict::cpu("PUT", 31.0, 10.0, 2.0),
        ];
        let section = Section {
            title: "Speed",
            verdicts,
            ..Section::default()
        };
        let text = report(&[
            Outcome {
                name: "get",
                section: Ok(section),
            },
            Outcome {
                name: "put",
                section: Err(anyhow::anyhow!("the server is gone")),
            },
        ]);
        assert!(
            text.contains("| GET | 12.0 us CPU | 10.0 us CPU | 1.20 x | at most 1.5 x | yes |"),
            "{text}"
        );
        assert!(
            text.contains("| PUT | 31.0 us CPU | 10.0 us CPU | 3.10 x | at most 2 x | **no** |"),
            "{text}"
        );
        assert!(
            text.contains("the server is gone") && text.contains("Not to be quoted"),
            "{text}"
        );
    }

    #[test]
    fn every_row_is_as_wide_as_its_head() {
        let mut table = Table::of_load();
        table.load_row("floor", &crate::rounds::Medians::default());
        let text = report(&[Outcome {
            name: "get",
            section: Ok(Section {
                table,
                ..Section::default()
            }),
        }]);
        let rows: Vec<&str> = text
            .lines()
            .filter(|line| line.starts_with("| floor") || line.contains("CPU us/op"))
            .collect();
        let columns = |line: &str| line.matches('|').count();
        assert_eq!(
            rows.iter().map(|row| columns(row)).collect::<Vec<_>>(),
            [6, 6]
        );
    }
}
