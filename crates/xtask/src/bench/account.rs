//! The kernel's accounting of a broker: a process and everything it has started.

use std::collections::BTreeSet;
use std::fs;
use std::os::linux::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

/// The processes of one broker, by their roots.
#[derive(Clone)]
pub struct Tree {
    roots: Vec<u32>,
    ticks_per_second: f64,
    disk: Option<(u64, u64)>,
}

/// Counters that only grow, at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    pub at: Instant,
    pub cpu_s: f64,
    pub switches: u64,
    /// `None` where the kernel does not say.
    pub disk: Option<Disk>,
}

/// Of the whole disk. What a process is said to have written would not do: there the kernel counts every page of a
/// folio of which one byte was changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Disk {
    pub written_bytes: u64,
    pub flushes: u64,
}

/// The difference of two moments.
#[derive(Clone, Copy, Debug)]
pub struct Spent {
    pub elapsed_s: f64,
    pub cpu_s: f64,
    pub switches: u64,
    pub disk: Option<Disk>,
}

impl Usage {
    pub fn until(&self, later: &Usage) -> Spent {
        Spent {
            elapsed_s: later.at.duration_since(self.at).as_secs_f64(),
            cpu_s: later.cpu_s - self.cpu_s,
            // A child that has ended takes its counters along.
            switches: later.switches.saturating_sub(self.switches),
            disk: later.disk.zip(self.disk).map(|(to, from)| Disk {
                written_bytes: to.written_bytes - from.written_bytes,
                flushes: to.flushes - from.flushes,
            }),
        }
    }
}

impl Tree {
    /// `data_dir` says which disk is looked at.
    pub fn new(roots: Vec<u32>, data_dir: &Path) -> Tree {
        let ticks = Command::new("getconf").arg("CLK_TCK").output();
        let ticks = ticks
            .ok()
            .and_then(|output| String::from_utf8(output.stdout).ok());
        let disk = fs::metadata(data_dir).ok().map(|about| {
            let device = about.st_dev();
            // As in the C library's `major` and `minor`.
            let major = (device >> 8) & 0xfff;
            let minor = (device & 0xff) | ((device >> 12) & 0xf_ff00);
            (major, minor)
        });
        Tree {
            roots,
            ticks_per_second: ticks
                .and_then(|text| text.trim().parse().ok())
                .unwrap_or(100.0),
            disk,
        }
    }

    /// The roots and all that descend from them.
    pub fn processes(&self) -> BTreeSet<u32> {
        let mut parents = Vec::new();
        for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let Some(pid) = entry
                .file_name()
                .to_str()
                .and_then(|name| name.parse::<u32>().ok())
            else {
                continue;
            };
            if let Some(fields) = stat(pid)
                && let Some(parent) = fields.get(1).copied()
            {
                parents.push((pid, parent as u32));
            }
        }
        let mut found: BTreeSet<u32> = self.roots.iter().copied().collect();
        loop {
            let before = found.len();
            for (pid, parent) in &parents {
                if found.contains(parent) {
                    found.insert(*pid);
                }
            }
            if found.len() == before {
                return found;
            }
        }
    }

    pub fn usage(&self) -> Usage {
        let mut usage = Usage {
            at: Instant::now(),
            cpu_s: 0.0,
            switches: 0,
            disk: self.disk.and_then(disk),
        };
        for pid in self.processes() {
            // Of the process and of those of its children that have ended.
            let ticks: u64 = stat(pid)
                .and_then(|fields| fields.get(11..15).map(|times| times.iter().sum()))
                .unwrap_or(0);
            usage.cpu_s += ticks as f64 / self.ticks_per_second;
            for task in fs::read_dir(format!("/proc/{pid}/task"))
                .into_iter()
                .flatten()
                .flatten()
            {
                let status = task.path().join("status").display().to_string();
                let voluntary = field(&status, "voluntary_ctxt_switches:").unwrap_or(0);
                let forced = field(&status, "nonvoluntary_ctxt_switches:").unwrap_or(0);
                usage.switches += voluntary + forced;
            }
        }
        usage
    }

    /// The sum of the processes' peaks of resident memory since [`Tree::forget_peak`], in bytes; what they share is
    /// counted to each.
    pub fn peak_bytes(&self) -> u64 {
        self.status_sum("VmHWM:") * 1024
    }

    /// The peak begins anew at what is resident now.
    pub fn forget_peak(&self) {
        for pid in self.processes() {
            // A process of another owner keeps its peak; then the figure is too high, not too low.
            let _ = fs::write(format!("/proc/{pid}/clear_refs"), "5");
        }
    }

    fn status_sum(&self, name: &str) -> u64 {
        let one = |pid: u32| field(&format!("/proc/{pid}/status"), name).unwrap_or(0);
        self.processes().into_iter().map(one).sum()
    }
}

/// The numbers of `/proc/PID/stat` from the state on: the name before them may contain blanks and brackets.
fn stat(pid: u32) -> Option<Vec<u64>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(after_name(&text))
}

/// The state's letter and negative numbers count as zero.
fn after_name(stat: &str) -> Vec<u64> {
    let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    rest.split_whitespace()
        .map(|word| word.parse().unwrap_or(0))
        .collect()
}

/// The number behind `name` in a file of such lines.
fn field(file: &str, name: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

fn disk(device: (u64, u64)) -> Option<Disk> {
    disk_in(&fs::read_to_string("/proc/diskstats").ok()?, device)
}

/// `major minor name` and 17 numbers: the seventh counts written sectors of 512 bytes, the last but one finished
/// flushes.
fn disk_in(diskstats: &str, (major, minor): (u64, u64)) -> Option<Disk> {
    diskstats.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let is_it = words.first()?.parse() == Ok(major) && words.get(1)?.parse() == Ok(minor);
        if is_it {
            let sectors: u64 = words.get(9)?.parse().ok()?;
            Some(Disk {
                written_bytes: sectors * 512,
                flushes: words.get(18)?.parse().ok()?,
            })
        } else {
            None
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_files_are_read() {
        let fields = after_name("12 (a) b) S 7 0 0 0 -1 0 1 2 3 4 50 60 7 8 20");
        assert_eq!(fields[1], 7, "the parent");
        assert_eq!(fields[11..15], [50, 60, 7, 8], "the times");
        let stats = " 254 0 vda 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 668 457\n 254 1 vda1 1 2 3\n";
        let counted = Disk {
            written_bytes: 7 * 512,
            flushes: 668,
        };
        assert_eq!(disk_in(stats, (254, 0)), Some(counted));
        assert_eq!(disk_in(stats, (254, 1)), None);
        assert_eq!(disk_in(stats, (8, 0)), None);
    }

    #[test]
    fn a_tree_has_its_children_and_their_work() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let tree = Tree::new(vec![std::process::id()], Path::new("/"));
        assert!(tree.processes().contains(&child.id()));
        assert!(tree.peak_bytes() > 0);
        let spent = tree.usage().until(&tree.usage());
        assert!(spent.cpu_s >= 0.0);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!tree.processes().contains(&child.id()));
    }
}
