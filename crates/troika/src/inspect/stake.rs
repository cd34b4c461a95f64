//! What an operator has to expect if a damage stays.

use server::Fault;
use server::offline::Directory;

/// What may be lost where a broker refuses to start.
pub fn at_stake(fault: &Fault, directory: &Directory) -> String {
    let told = of_fault(fault);
    match has_no_root(directory) {
        true => format!(
            "{told}. No checkpoint is sound, so what cannot be replayed from the log's first \
             segment on is lost with it, the names of queues and topics, too"
        ),
        false => told.to_owned(),
    }
}

/// Whether there were checkpoints, and none of those that count can be believed.
fn has_no_root(directory: &Directory) -> bool {
    let mut checkpoints = directory.survey().checkpoints.iter().take(2).peekable();
    checkpoints.peek().is_some() && checkpoints.all(|row| row.contents.is_err())
}

fn of_fault(fault: &Fault) -> &'static str {
    let error = match fault {
        Fault::Store(error) => error,
        Fault::Replay { .. } | Fault::Restore(_) => {
            return "what this version cannot read; nothing of that, if the version that wrote it is \
                    started";
        }
        _ => return "nothing that is on the disk: mend what the error names and try again",
    };
    match error.file() {
        "pages" => {
            "no message, as far as the log holds all frames of the pages: a repair tells if it does \
             not. Of the others what was settled may come again"
        }
        "node" => {
            "no message, if the node file comes back from any copy of this directory: it never changes"
        }
        file if file.starts_with("log/") => {
            "messages in the damaged frame and in the frames behind it, and with them the \
             settlements that are told there: what was settled may come again"
        }
        file if file.starts_with("checkpoint-") => {
            "the names of queues and topics and what was settled before the log's first segment; the \
             messages in the segments are intact"
        }
        _ => "nothing that is on the disk: mend what the error names and try again",
    }
}
