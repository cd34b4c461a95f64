//! What a broker says about itself: 28. Tools index the table by name and take much of it apart, so
//! that every name is there that one of them reads, in the spelling of both generations.
//!
//! Caveats: how long a put took is not measured, and neither is when the oldest message came (−1,
//! as Apache says of an empty broker); a day begins at midnight of Greenwich. There are no pools of
//! threads: their queues are empty, and as large as the number of requests that one connection may
//! leave waiting.

use std::collections::{BTreeMap, VecDeque};

use broker::id::{MessageRef, Millis};
use remoting::body::{KvTable, to_vec};

use super::RemotingDoor;
use super::connection::IN_FLIGHT_MAX;
use super::creation::Stop;
use super::dispatch::Request;
use crate::door::{Context, Disk};

/// Rates are told over the last so many seconds.
const WINDOWS_S: [u64; 3] = [10, 60, 600];
const SECONDS_KEPT: usize = 601;
const DAY_MS: u64 = 86_400_000;
/// The classes of time that a put may take; none is counted.
const PUT_TIMES: [&str; 13] = [
    "<=0ms",
    "0~10ms",
    "10~50ms",
    "50~100ms",
    "100~200ms",
    "200~500ms",
    "500ms~1s",
    "1~2s",
    "2~3s",
    "3~4s",
    "4~5s",
    "5~10s",
    "10s~",
];

/// What was done, in a second or since the start.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Counts {
    puts: u64,
    put_bytes: u64,
    put_failures: u64,
    /// Pulls that found something, and that did not.
    found: u64,
    missed: u64,
    /// Messages that were pulled.
    transferred: u64,
}

impl Counts {
    fn add(&mut self, more: &Counts) {
        self.puts += more.puts;
        self.put_bytes += more.put_bytes;
        self.put_failures += more.put_failures;
        self.found += more.found;
        self.missed += more.missed;
        self.transferred += more.transferred;
    }
}

/// What goes through the door, counted.
#[derive(Debug, Default)]
pub struct Traffic {
    started: Option<Millis>,
    total: Counts,
    /// The seconds in which something was done.
    seconds: VecDeque<(u64, Counts)>,
    /// The totals at the beginning of the day before, and of this one.
    yesterday: Counts,
    today: Counts,
    day: u64,
    /// The name of the newest message, which is where the log ends for this wire.
    newest: Option<MessageRef>,
}

impl Traffic {
    /// The first time counts.
    pub fn begin(&mut self, now: Millis) {
        if self.started.is_none() {
            self.started = Some(now);
            self.day = now.0 / DAY_MS;
        }
    }

    fn turn_day(&mut self, now: Millis) {
        let day = now.0 / DAY_MS;
        if day > self.day {
            self.yesterday = if day == self.day + 1 {
                self.today
            } else {
                self.total
            };
            self.today = self.total;
            self.day = day;
        }
    }

    fn count(&mut self, now: Millis, more: &Counts) {
        self.begin(now);
        self.turn_day(now);
        self.total.add(more);
        let second = now.0 / 1000;
        match self.seconds.back_mut() {
            Some((last, counts)) if *last == second => counts.add(more),
            Some(_) | None => {
                if self.seconds.len() >= SECONDS_KEPT {
                    self.seconds.pop_front();
                }
                self.seconds.push_back((second, *more));
            }
        }
    }

    pub fn put(&mut self, bytes: usize, now: Millis) {
        let put = Counts {
            puts: 1,
            put_bytes: bytes as u64,
            ..Counts::default()
        };
        self.count(now, &put);
    }

    pub fn put_failed(&mut self, now: Millis) {
        let failed = Counts {
            put_failures: 1,
            ..Counts::default()
        };
        self.count(now, &failed);
    }

    pub fn stored(&mut self, message: MessageRef) {
        self.newest = self.newest.max(Some(message));
    }

    pub fn pulled(&mut self, messages: usize, now: Millis) {
        let pulled = Counts {
            found: u64::from(messages > 0),
            missed: u64::from(messages == 0),
            transferred: messages as u64,
            ..Counts::default()
        };
        self.count(now, &pulled);
    }

    /// `10s 60s 600s`.
    fn rates(&self, now: Millis, of: impl Fn(&Counts) -> u64) -> String {
        let second = now.0 / 1000;
        let rate = |window: u64| {
            let recent = self.seconds.iter().rev();
            let recent = recent.take_while(|(at, _)| *at + window > second);
            recent.map(|(_, counts)| of(counts)).sum::<u64>() as f64 / window as f64
        };
        WINDOWS_S
            .map(|window| format!("{:?}", rate(window)))
            .join(" ")
    }
}

impl RemotingDoor {
    /// 28.
    pub(super) fn runtime_info(
        &mut self,
        request: &Request<'_>,
        cx: &mut Context<'_>,
    ) -> Result<(), Stop> {
        self.traffic.begin(cx.now);
        self.traffic.turn_day(cx.now);
        let body = to_vec(&KvTable {
            table: self.runtime_table(cx.now),
        });
        request.asker.body(&body, cx);
        Ok(())
    }

    fn runtime_table(&self, now: Millis) -> BTreeMap<String, String> {
        let traffic = &self.traffic;
        let Traffic {
            total,
            yesterday,
            today,
            ..
        } = traffic;
        let started = traffic.started.unwrap_or(now);
        let version = self.settings.version;
        let mut table = BTreeMap::new();
        let mut set = |name: &str, value: String| table.insert(name.to_owned(), value);
        set("brokerVersion", version.0.to_string());
        set(
            "brokerVersionDesc",
            version.name().unwrap_or("HIGHER_VERSION").to_owned(),
        );
        set("bootTimestamp", started.0.to_string());
        set("startAcceptSendRequestTimeStamp", "0".to_owned());
        set("runtime", duration(now.since(started)));
        set("brokerActive", "true".to_owned());
        for (name, count) in [
            ("msgPutTotalYesterdayMorning", yesterday.puts),
            ("msgPutTotalTodayMorning", today.puts),
            ("msgPutTotalTodayNow", total.puts),
            ("msgGetTotalYesterdayMorning", yesterday.transferred),
            ("msgGetTotalTodayMorning", today.transferred),
            ("msgGetTotalTodayNow", total.transferred),
            ("putMessageTimesTotal", total.puts),
            ("putMessageFailedTimes", total.put_failures),
            ("putMessageSizeTotal", total.put_bytes),
        ] {
            set(name, count.to_string());
        }
        let average = total.put_bytes as f64 / total.puts.max(1) as f64;
        set("putMessageAverageSize", format!("{average:?}"));
        set("putTps", traffic.rates(now, |counts| counts.puts));
        set("getFoundTps", traffic.rates(now, |counts| counts.found));
        set("getMissTps", traffic.rates(now, |counts| counts.missed));
        set(
            "getTotalTps",
            traffic.rates(now, |counts| counts.found + counts.missed),
        );
        // The tools of 4.x look for the second spelling, those of 5.x for the first.
        for name in ["getTransferredTps", "getTransferedTps"] {
            set(name, traffic.rates(now, |counts| counts.transferred));
        }
        let none_timed = PUT_TIMES.map(|class| format!("[{class}]:0 ")).concat();
        set("putMessageDistributeTime", none_timed);
        for name in ["putLatency99", "putLatency999"] {
            set(name, "0.00".to_owned());
        }
        for name in [
            "putMessageEntireTimeMax",
            "getMessageEntireTimeMax",
            "pageCacheLockTimeMills",
            "dispatchMaxBuffer",
            "dispatchBehindBytes",
            "commitLogMinOffset",
            "remainTransientStoreBufferNumbs",
            "timerReadBehind",
            "timerOffsetBehind",
            "timerCongestNum",
        ] {
            set(name, "0".to_owned());
        }
        for name in ["timerEnqueueTps", "timerDequeueTps"] {
            set(name, "0.0".to_owned());
        }
        set("earliestMessageTimeStamp", "-1".to_owned());
        set("remainHowManyDataToFlush", "0 B".to_owned());
        let newest = traffic.newest.map_or(0, MessageRef::as_u64);
        set("commitLogMaxOffset", newest.to_string());
        let used = self.disk.map_or(-1.0, |disk| disk.used_ratio());
        for name in ["commitLogDiskRatio", "consumeQueueDiskRatio"] {
            set(name, format!("{used:?}"));
        }
        if let Some(Disk {
            total_bytes,
            free_bytes,
        }) = self.disk
        {
            let (total, free) = (readable(total_bytes), readable(free_bytes));
            set(
                "commitLogDirCapacity",
                format!("Total : {total}, Free : {free}."),
            );
        }
        for pool in ["send", "pull", "litePull", "query", "ack"] {
            set(&format!("{pool}ThreadPoolQueueSize"), "0".to_owned());
            set(
                &format!("{pool}ThreadPoolQueueCapacity"),
                IN_FLIGHT_MAX.to_string(),
            );
            set(
                &format!("{pool}ThreadPoolQueueHeadWaitTimeMills"),
                "0".to_owned(),
            );
        }
        set("EndTransactionQueueSize", "0".to_owned());
        set(
            "EndTransactionThreadPoolQueueCapacity",
            IN_FLIGHT_MAX.to_string(),
        );
        table
    }
}

/// As the tools show it.
fn duration(ms: u64) -> String {
    let seconds = ms / 1000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    format!(
        "[ {days} days, {} hours, {} minutes, {} seconds ]",
        hours % 24,
        minutes % 60,
        seconds % 60
    )
}

/// `53.5 GiB`.
fn readable(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let power = (bytes.ilog2() / 10) as usize;
    let unit = UNITS.get(power - 1).copied().unwrap_or_default();
    format!("{:.1} {unit}", bytes as f64 / 1024f64.powi(power as i32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_of_the_last_seconds() {
        let mut traffic = Traffic::default();
        for ms in (0..20_000).step_by(100) {
            traffic.put(1000, Millis(ms));
        }
        let puts = |counts: &Counts| counts.puts;
        assert_eq!(
            traffic.rates(Millis(19_999), puts),
            "10.0 3.3333333333333335 0.3333333333333333"
        );
        assert_eq!(
            traffic.rates(Millis(40_000), puts),
            "0.0 3.3333333333333335 0.3333333333333333"
        );
        for second in 20..2000 {
            traffic.pulled(2, Millis(second * 1000));
        }
        assert_eq!(traffic.seconds.len(), SECONDS_KEPT);
        assert_eq!(traffic.total.transferred, 2 * 1980);
    }

    #[test]
    fn days_begin_with_what_was_counted_before() {
        let mut traffic = Traffic::default();
        let mornings = |traffic: &Traffic| (traffic.yesterday.puts, traffic.today.puts);
        traffic.put(1, Millis(5));
        assert_eq!(mornings(&traffic), (0, 0));
        traffic.put(1, Millis(DAY_MS));
        assert_eq!(mornings(&traffic), (0, 1));
        traffic.put(1, Millis(2 * DAY_MS));
        assert_eq!(mornings(&traffic), (1, 2));
        traffic.put(1, Millis(9 * DAY_MS));
        assert_eq!(mornings(&traffic), (3, 3));
    }

    #[test]
    fn sizes_and_times_read_as_the_tools_show_them() {
        assert_eq!(readable(1023), "1023 B");
        assert_eq!(readable(1536), "1.5 KiB");
        assert_eq!(readable(107_374_182_400), "100.0 GiB");
        assert_eq!(readable(u64::MAX), "16.0 EiB");
        assert_eq!(
            duration(93_784_000),
            "[ 1 days, 2 hours, 3 minutes, 4 seconds ]"
        );
    }
}
