//! What lies in a data directory, as tables.

use std::path::Path;

use server::offline::{Contents, Directory, Held};

pub fn files(dir: &Path, directory: &Directory) {
    let survey = directory.survey();
    let node = match survey.node {
        Some(node) => format!("{:032x}", node.0),
        None => "unknown".into(),
    };
    println!("data directory {} of node {node}", dir.display());
    for note in &survey.notes {
        println!("note: {note}");
    }
    let mut rows = vec![row(&[
        "checkpoint",
        "bytes",
        "shard",
        "frames to",
        "segments",
        "pages",
    ])];
    for checkpoint in &survey.checkpoints {
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
            Err(damage) => rows.push(row(&[&checkpoint.file, &bytes, &damage.to_string()])),
        }
    }
    table(&rows);
    let mut rows = vec![row(&[
        "segment", "bytes", "filled", "sealed", "shard", "frames",
    ])];
    for segment in &survey.segments {
        let filled = match segment.end {
            Some(end) => end.to_string(),
            None => "not needed".into(),
        };
        let sealed = if segment.sealed { "yes" } else { "no" };
        let bytes = segment.bytes.to_string();
        let mut cells = vec![segment.file.clone(), bytes, filled, sealed.into()];
        for (shard, first, last) in &segment.ranges {
            cells.push(shard.number().to_string());
            cells.push(format!("{}..{}", first.number(), last.number()));
        }
        rows.push(cells);
    }
    table(&rows);
    println!(
        "\npages of the index: {} in use, room for {}; spare segments: {}",
        survey.pages.named, survey.pages.slots, survey.spares
    );
}

pub fn contents(contents: &Contents) {
    for (what, held) in [
        ("queue", &contents.queues),
        ("partition", &contents.partitions),
    ] {
        let mut rows = vec![row(&[what, "messages", "first", "next", "bytes"])];
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
    cells
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
        let cells = rows.iter().filter(|row| row.len() >= columns);
        cells.map(|row| row[column].chars().count()).max()
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
