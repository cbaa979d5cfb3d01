//! `vedette verify FILE…`: whether what a receiver has is all that was sent.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::Context;
use clap::Args;

use super::EXIT_FAILED;
use crate::sink::proof::{Proof, Report};

/// Arguments of `vedette verify`.
#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// Records as they were received, one per line; files of one stream in their order
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// The public key that checkpoints have to be signed with: its file (`/var/lib/vedette/signing.pub`), or its digits
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Write the report as JSON
    #[arg(long)]
    json: bool,
}

/// Reads, and says what is missing.
pub(super) fn run(args: &VerifyArgs) -> anyhow::Result<ExitCode> {
    let key = args.key.as_deref().map(read_key).transpose()?;
    let mut proof = Proof::new(key);
    for path in &args.files {
        let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
        for line in BufReader::new(file).split(b'\n') {
            let line = line.with_context(|| format!("cannot read {}", path.display()))?;
            proof.line(&line);
        }
    }
    let report = proof.finish();
    if args.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        print!("{report}");
    }
    Ok(if whole(&report) { ExitCode::SUCCESS } else { ExitCode::from(EXIT_FAILED) })
}

fn whole(report: &Report) -> bool {
    report.streams.iter().all(|stream| stream.is_whole()) && !report.streams.is_empty()
}

fn read_key(given: &str) -> anyhow::Result<Vec<u8>> {
    let text = match std::fs::read_to_string(given) {
        Ok(text) => text,
        Err(error) if given.contains('/') => {
            return Err(error).with_context(|| format!("cannot read {given}"));
        }
        Err(_) => given.to_owned(),
    };
    crate::sink::proof::unhex(text.trim())
        .with_context(|| format!("`{given}` is neither a file nor the digits of a key"))
}
