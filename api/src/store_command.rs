//! `muster migrate`, `muster export` and `muster import`: the store without a server.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::Path;
use std::process::ExitCode;

use muster_actors::StoreError;

use crate::cli::{ConfigArgs, MigrateArgs, TransferArgs};
use crate::config::{Config, ConfigError};
use crate::store::{Location, TransferError};

/// Exit code of bad configuration or arguments.
const EXIT_CONFIG: u8 = 2;
/// zstd's level: JSON shrinks to a tenth.
const LEVEL: i32 = 3;

/// Why a command did not do what it should.
#[derive(Debug, thiserror::Error)]
enum CommandError {
    #[error("{0}")]
    Config(#[from] ConfigError),
    #[error("{place}: {error}")]
    Store { place: String, error: StoreError },
    #[error("{file} and {place}: {error}")]
    Transfer { file: String, place: String, error: TransferError },
    #[error("{file}: {error}")]
    File { file: String, error: io::Error },
    #[error("store.url cannot be read")]
    NoStore,
    #[error("{0}")]
    Runtime(#[from] io::Error),
}

/// Applies what migrations the store lacks, or only says which; then the exit code is 1 if it lacks
/// any.
pub fn migrate(args: &MigrateArgs) -> ExitCode {
    report("migrate", migrated(args))
}

/// Writes the whole store to a file.
pub fn export(args: &TransferArgs) -> ExitCode {
    report("export", exported(args).map(|text| (text, true)))
}

/// Fills an empty store from a file.
pub fn import(args: &TransferArgs) -> ExitCode {
    report("import", imported(args).map(|text| (text, true)))
}

/// Results go to standard error: standard output may be the file.
#[expect(clippy::print_stderr, reason = "the command's result")]
fn report(command: &str, outcome: Result<(String, bool), CommandError>) -> ExitCode {
    match outcome {
        Ok((text, done)) => {
            eprintln!("{}", text.trim_end());
            if done { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("muster {command}: {error}");
            let bad = matches!(error, CommandError::Config(_) | CommandError::NoStore);
            ExitCode::from(if bad { EXIT_CONFIG } else { 1 })
        }
    }
}

fn location(args: &ConfigArgs) -> Result<Location, CommandError> {
    let config = Config::load(args.file().as_deref())?;
    config.store.location(&args.data).ok_or(CommandError::NoStore)
}

fn block_on<T>(work: impl Future<Output = T>) -> Result<T, CommandError> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work))
}

fn migrated(args: &MigrateArgs) -> Result<(String, bool), CommandError> {
    let location = location(&args.config)?;
    let found = block_on(location.migrate(!args.check))?;
    let place = location.to_string();
    let found = found.map_err(|error| CommandError::Store { place: place.clone(), error })?;
    let lacked = if args.check { "missing" } else { "applied" };
    let mut text = format!("{place}\n");
    for migration in &found {
        let state = if migration.applied { "was there" } else { lacked };
        text += &format!("{:04} {}: {state}\n", migration.version, migration.description);
    }
    let missing = found.iter().filter(|migration| !migration.applied).count();
    Ok((text, !args.check || missing == 0))
}

fn exported(args: &TransferArgs) -> Result<String, CommandError> {
    let location = location(&args.config)?;
    let (file, place) = (args.file.display().to_string(), location.to_string());
    let unusable = |error| CommandError::File { file: file.clone(), error };
    let failed = |error| CommandError::Transfer { file: file.clone(), place: place.clone(), error };
    let plain: Box<dyn Write + Send> = match file.as_str() {
        "-" => Box::new(io::stdout()),
        path => Box::new(File::create_new(path).map_err(unusable)?),
    };
    let mut out = BufWriter::new(plain);
    let rows = if is_packed(&args.file) {
        let mut packed = zstd::Encoder::new(&mut out, LEVEL).map_err(unusable)?;
        let rows = block_on(location.export(&mut packed))?.map_err(failed)?;
        packed.finish().map_err(unusable)?;
        rows
    } else {
        block_on(location.export(&mut out))?.map_err(failed)?
    };
    out.flush().map_err(unusable)?;
    Ok(format!("{rows} rows of {place} are in {file}"))
}

fn imported(args: &TransferArgs) -> Result<String, CommandError> {
    let location = location(&args.config)?;
    let (file, place) = (args.file.display().to_string(), location.to_string());
    let unusable = |error| CommandError::File { file: file.clone(), error };
    let failed = |error| CommandError::Transfer { file: file.clone(), place: place.clone(), error };
    let plain: Box<dyn Read + Send> = match file.as_str() {
        "-" => Box::new(io::stdin()),
        path => Box::new(File::open(path).map_err(unusable)?),
    };
    let rows = if is_packed(&args.file) {
        let packed = zstd::Decoder::new(plain).map_err(unusable)?;
        block_on(location.import(&mut BufReader::new(packed)))?
    } else {
        block_on(location.import(&mut BufReader::new(plain)))?
    };
    Ok(format!("{} rows of {file} are in {place}", rows.map_err(failed)?))
}

fn is_packed(file: &Path) -> bool {
    file.extension().is_some_and(|ending| ending == "zst")
}
