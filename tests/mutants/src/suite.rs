//! The test binaries of the copy: built, traced, and run with one mutant on.

use crate::{Fallible, Room};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The longest sample; the switch maps as many bytes.
const TRACE_SIZE: u64 = 65536;

/// A test binary, and what its run without a mutant showed.
struct Binary {
    name: String,
    path: String,
    seconds: f64,
    reached: BTreeSet<usize>,
}

/// How one run of a binary ended.
enum Outcome {
    Passed,
    /// The name of the first test that failed.
    Failed(String),
    TimedOut,
}

/// Builds every test binary and runs each once without a mutant. One that fails then judges nothing: the
/// binaries that read the source (widths, names) see the planted text.
pub fn trace(room: &Room) -> Fallible<()> {
    let mut kept = Vec::new();
    for (name, path) in build(room)? {
        let page = room.kept.join("trace");
        File::create(&page)?.set_len(TRACE_SIZE)?;
        let begun = Instant::now();
        let variables = [("S2SD_MUTANT_TRACE", page.display().to_string())];
        let outcome = run_binary(room, &path, &variables, Duration::from_secs(1800))?;
        let seconds = begun.elapsed().as_secs_f64();
        if let Outcome::Failed(test) = &outcome {
            println!("{name}: {test} fails without a mutant: the binary is left out");
            continue;
        }
        let reached: Vec<usize> = std::fs::read(&page)?
            .iter()
            .enumerate()
            .filter(|(_, byte)| **byte != 0)
            .map(|(at, _)| at)
            .collect();
        println!("{name}: {seconds:.1} s, reaches {} mutants", reached.len());
        kept.push(json!({ "name": name, "path": path, "seconds": seconds, "reached": reached }));
    }
    Ok(std::fs::write(room.kept.join("binaries.json"), serde_json::to_string(&kept)?)?)
}

/// Turns the mutants of a shard on, one after the other, and notes which test caught it.
pub fn run(room: &Room, shard: usize, shards: usize) -> Fallible<()> {
    let sample = read_list(&room.kept.join("sample.json"))?;
    let mut binaries: Vec<Binary> = read_list(&room.kept.join("binaries.json"))?
        .iter()
        .map(read_binary)
        .collect::<Fallible<_>>()?;
    binaries.sort_by(|one, two| one.seconds.total_cmp(&two.seconds));
    let done = results(room);
    for number in (0..sample.len())
        .filter(|number| number % shards == shard - 1 && !done.contains_key(number))
    {
        let judges: Vec<&Binary> =
            binaries.iter().filter(|binary| binary.reached.contains(&number)).collect();
        let mut verdict = match judges.is_empty() {
            true => "missed: no test reaches it".to_owned(),
            false => "missed".to_owned(),
        };
        for binary in judges {
            let limit = Duration::from_secs_f64(60.0 + 4.0 * binary.seconds);
            match run_binary(room, &binary.path, &[("S2SD_MUTANT", number.to_string())], limit)? {
                Outcome::Passed => continue,
                Outcome::Failed(test) => verdict = format!("caught: {} {test}", binary.name),
                Outcome::TimedOut => verdict = format!("caught: {} does not end", binary.name),
            }
            break;
        }
        let line = format!(
            "{number}\t{verdict}\t{}\t{}\n",
            text(&sample[number]["place"]),
            text(&sample[number]["fault"])
        );
        print!("{line}");
        File::options()
            .create(true)
            .append(true)
            .open(room.kept.join("results.txt"))?
            .write_all(line.as_bytes())?;
    }
    Ok(())
}

/// How many were caught, and the list of the rest.
pub fn report(room: &Room) -> Fallible<()> {
    let results = results(room);
    let missed: Vec<&String> = results.values().filter(|line| line.contains("\tmissed")).collect();
    let caught = results.len() - missed.len();
    println!(
        "{caught} of {} caught ({:.1} %)",
        results.len(),
        100.0 * caught as f64 / results.len().max(1) as f64
    );
    for line in missed {
        println!("{line}");
    }
    Ok(())
}

/// The lines of the results, by the number of the mutant.
fn results(room: &Room) -> BTreeMap<usize, String> {
    let text = std::fs::read_to_string(room.kept.join("results.txt")).unwrap_or_default();
    let numbered = |line: &str| Some((line.split_once('\t')?.0.parse().ok()?, line.to_owned()));
    text.lines().filter_map(numbered).collect()
}

/// Builds the test binaries; their names and paths.
fn build(room: &Room) -> Fallible<Vec<(String, String)>> {
    let (messages, builds) = room.cargo(&["test", "--no-run"])?;
    if !builds {
        return Err("the copy's tests do not build".into());
    }
    let mut binaries = Vec::new();
    for message in messages {
        let tests = message["profile"]["test"] == true || message["target"]["kind"][0] == "test";
        if let (true, Some(path)) = (tests, message["executable"].as_str()) {
            binaries.push((text(&message["target"]["name"]).to_owned(), path.to_owned()));
        }
    }
    Ok(binaries)
}

/// Runs a test binary until its first failure. As root it gets a process, network and mount namespace of its
/// own, so that nothing of a stopped run stays behind, and two shards do not meet.
fn run_binary(
    room: &Room,
    path: &str,
    variables: &[(&str, String)],
    limit: Duration,
) -> Fallible<Outcome> {
    let apart =
        "mount -t proc proc /proc; mount -t tmpfs tmpfs /run; ip link set lo up; exec \"$0\"";
    let root = std::fs::metadata("/proc/self")
        .is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
    let mut command = match root {
        true => Command::new("unshare"),
        false => Command::new(path),
    };
    if root {
        command.args([
            "--fork",
            "--pid",
            "--net",
            "--mount",
            "--kill-child",
            "sh",
            "-c",
            apart,
            path,
        ]);
    }
    command.current_dir(&room.tree).envs(variables.iter().map(|(name, value)| (name, value)));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0);
    let mut child = command.spawn()?;
    let lines = BufReader::new(child.stdout.take().ok_or("no output")?);
    let (failure, heard) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || {
        for line in lines.lines().map_while(Result::ok) {
            if let Some(test) =
                line.strip_prefix("test ").and_then(|line| line.strip_suffix("FAILED"))
            {
                let _ = failure.send(test.trim_end_matches([' ', '.']).to_owned());
            }
        }
    });
    let begun = Instant::now();
    let outcome = loop {
        if let Ok(test) = heard.recv_timeout(Duration::from_millis(100)) {
            break Outcome::Failed(test);
        }
        match child.try_wait()? {
            Some(status) if status.success() => break Outcome::Passed,
            Some(status) => {
                break Outcome::Failed(heard.try_recv().unwrap_or_else(|_| status.to_string()));
            }
            None if begun.elapsed() > limit => break Outcome::TimedOut,
            None => {}
        }
    };
    let group = format!("-{}", child.id());
    let _ = Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status();
    child.wait()?;
    drop(reader);
    Ok(outcome)
}

fn read_binary(value: &Value) -> Fallible<Binary> {
    let reached = value["reached"].as_array().ok_or("binaries.json: no list")?;
    Ok(Binary {
        name: text(&value["name"]).to_owned(),
        path: text(&value["path"]).to_owned(),
        seconds: value["seconds"].as_f64().unwrap_or(0.0),
        reached: reached
            .iter()
            .filter_map(Value::as_u64)
            .map(usize::try_from)
            .collect::<Result<_, _>>()?,
    })
}

fn read_list(path: &Path) -> Fallible<Vec<Value>> {
    let text = std::fs::read_to_string(path)
        .map_err(|why| format!("{}: {why}: run `prepare` first", path.display()))?;
    Ok(serde_json::from_str(&text)?)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
