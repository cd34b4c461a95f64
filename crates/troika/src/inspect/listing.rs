//! What lies in a data directory, as tables.

use std::collections::BTreeMap;
use std::path::Path;

use server::offline::{Contents, Directory, Held, SegmentState};

use super::verify::Checked;

/// A cell of which nothing is known.
const UNKNOWN: &str = "-";

pub fn head(dir: &Path, directory: &Directory) {
    let survey = directory.survey();
    let node = match survey.node {
        Some(node) => format!("{:032x}", node.0),
        None => "unknown".into(),
    };
    println!("data directory {} of node {node}", dir.display());
    for note in &survey.notes {
        println!("at a start: {note}");
    }
}

pub fn files(directory: &Directory, checked: &Checked) {
    checkpoints(directory);
    segments(directory, checked);
    shards(directory);
    let survey = directory.survey();
    println!(
        "\nthe log is known to be synced up to position {}",
        survey.synced_to
    );
    println!(
        "pages of the index: {} in use, room for {}; spare segments: {}",
        survey.pages.named, survey.pages.slots, survey.spares
    );
}

fn checkpoints(directory: &Directory) {
    let mut rows = vec![row(&[
        "checkpoint",
        "bytes",
        "shard",
        "frames to",
        "segments",
        "pages",
    ])];
    for checkpoint in &directory.survey().checkpoints {
        let bytes = checkpoint.bytes.to_string();
        match &checkpoint.contents {
            Ok(found) => rows.extend(found.shards.iter().map(|(shard, applied, _)| {
                row(&[
                    &checkpoint.file,
                    &bytes,
                    &shard.number().to_string(),
                    &applied.number().to_string(),
                    &found.segments.to_string(),
                    &found.pages.to_string(),
                ])
            })),
            Err(_) => rows.push(row(&[
                &checkpoint.file,
                &bytes,
                "damaged",
                UNKNOWN,
                UNKNOWN,
                UNKNOWN,
            ])),
        }
    }
    table(&rows);
}

fn segments(directory: &Directory, checked: &Checked) {
    let mut rows = vec![row(&[
        "segment", "kind", "base", "bytes", "filled", "sealed", "frames", "messages", "from", "to",
        "shard", "indexes",
    ])];
    for segment in &directory.survey().segments {
        let kind = if segment.key.is_cold() {
            "cold"
        } else {
            "ordinary"
        };
        let (filled, sealed) = match segment.state {
            SegmentState::Unknown => (UNKNOWN.to_owned(), UNKNOWN),
            SegmentState::NotNeeded => ("not needed".to_owned(), UNKNOWN),
            SegmentState::Needed { end, sealed } => {
                (end.to_string(), if sealed { "yes" } else { "no" })
            }
        };
        let sum = checked.segments.get(&segment.file);
        let number = |number: Option<u64>| match number {
            Some(number) => number.to_string(),
            None => UNKNOWN.to_owned(),
        };
        let times = sum.and_then(|sum| sum.times);
        let time = |time| humantime::format_rfc3339_seconds(time).to_string();
        let (from, to) = match times {
            Some((from, to)) => (time(from), time(to)),
            None => (UNKNOWN.to_owned(), UNKNOWN.to_owned()),
        };
        let mut cells = vec![
            segment.file.clone(),
            kind.to_owned(),
            number(segment.base),
            segment.bytes.to_string(),
            filled,
            sealed.to_owned(),
            number(sum.map(|sum| sum.frames)),
            number(sum.map(|sum| sum.messages)),
            from,
            to,
        ];
        if segment.ranges.is_empty() {
            cells.extend([UNKNOWN.to_owned(), UNKNOWN.to_owned()]);
        }
        for (shard, first, last) in &segment.ranges {
            cells.push(shard.number().to_string());
            cells.push(format!("{}..{}", first.number(), last.number()));
        }
        rows.push(cells);
    }
    table(&rows);
}

/// Of each shard what is still needed, what the checkpoint in force contains, and what was written.
fn shards(directory: &Directory) {
    let survey = directory.survey();
    let mut shards: BTreeMap<u8, [u64; 3]> = BTreeMap::new();
    let mut sound = survey.checkpoints.iter();
    if let Some(found) = sound.find_map(|row| row.contents.as_ref().ok()) {
        for (shard, applied, low_water) in &found.shards {
            let applied = applied.number();
            let marks = [low_water.number(), applied, applied];
            shards.insert(shard.number(), marks);
        }
    }
    for (shard, _, last) in survey.segments.iter().flat_map(|segment| &segment.ranges) {
        let marks = shards.entry(shard.number()).or_default();
        marks[2] = marks[2].max(last.number());
    }
    let mut rows = vec![row(&[
        "shard",
        "needed from",
        "checkpoint to",
        "last frame",
    ])];
    rows.extend(shards.iter().map(|(shard, marks)| {
        let numbers = marks.iter().map(u64::to_string);
        std::iter::once(shard.to_string()).chain(numbers).collect()
    }));
    table(&rows);
}

pub fn contents(contents: &Contents) {
    for (what, held) in [
        ("queue", &contents.queues),
        ("partition", &contents.partitions),
    ] {
        let mut rows = vec![row(&[
            what, "messages", "first", "next", "bytes", "durable",
        ])];
        rows.extend(held.iter().map(cells));
        table(&rows);
    }
    println!("\nmessages kept until they are due: {}", contents.kept);
    println!("frames that a start replays: {}", contents.replayed);
}

fn cells(held: &Held) -> Vec<String> {
    let holding = held.holding;
    let numbers = [
        holding.messages,
        holding.first.0,
        holding.next.0,
        holding.bytes,
    ];
    let mut cells = vec![held.name.clone()];
    cells.extend(numbers.map(|number| number.to_string()));
    cells.push(if held.durable { "yes" } else { "no" }.to_owned());
    cells
}

/// Whose pages of the index are damaged.
pub fn damaged_pages(contents: &Contents) {
    if !contents.damaged.is_empty() {
        println!();
    }
    for (owner, pages) in &contents.damaged {
        match owner {
            Some(owner) => println!("damaged pages of the index: {pages} of {owner}"),
            None => println!("damaged pages of the index: {pages} that nobody needs any more"),
        }
    }
}

fn row(cells: &[&str]) -> Vec<String> {
    cells.iter().map(|cell| (*cell).to_owned()).collect()
}

/// Columns as wide as they need; nothing if there is only a head.
fn table(rows: &[Vec<String>]) {
    if rows.len() < 2 {
        return;
    }
    println!();
    let columns = rows[0].len();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max()
    };
    for row in rows {
        let cells: Vec<_> = row
            .iter()
            .enumerate()
            .map(|(column, cell)| match column {
                0 => format!("{cell:<0$}", width(0).unwrap_or(0)),
                column if column < columns => format!("{cell:>0$}", width(column).unwrap_or(0)),
                _ => cell.clone(),
            })
            .collect();
        println!("{}", cells.join("  ").trim_end());
    }
}
