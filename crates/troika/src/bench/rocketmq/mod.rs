//! RocketMQ: routes from the NameServer, sends by 310, pulls by 11 with long polling.
//!
//! A "queue" of the options is a topic. Producers of one thread share a connection, as those of one
//! process do in Apache's client, and send to all message queues in turn; each consumer has a
//! connection and pulls its part of the message queues of its topics. Consumers begin where the
//! topic ended when the run was prepared, so that nothing older is seen; a drain alone begins where
//! its group has stopped.

mod pulling;
mod sending;
mod talk;

use std::net::SocketAddr;
use std::ops::Range;
use std::thread;
use std::time::{Duration, Instant};

use ::remoting::body::{TopicRouteData, from_slice};
use ::remoting::header::directory::{DeleteTopic, RouteInfo};
use ::remoting::header::offset::{MaxOffset, QueryConsumerOffset, QueueOfTopic};
use ::remoting::header::topic::{CreateTopic, Topic};
use ::remoting::{RequestCode, ResponseCode};

use self::pulling::{Puller, Start};
use self::sending::Sender;
use self::talk::Talk;
use super::link::Link;
use super::options::{Churn, Mode, Options, resolve, share};
use super::payload::RunId;
use super::source::Source;
use super::worker::Seat;
use super::{Cycle, Wire};

/// The topic whose settings new topics take; its route names the brokers that make topics.
const TEMPLATE: &str = "TBW102";
const PRODUCERS: &str = "bench-producers";
const CONSUMERS: &str = "bench-consumers";
/// Message queues of a topic that the generator makes.
const MADE_QUEUES: i32 = 8;
const READ_AND_WRITE: i32 = 6;
const MASTER: i64 = 0;
/// How long a new topic may take to reach the NameServer: brokers tell it at once, or within 10 s.
const ROUTE_WAIT: Duration = Duration::from_secs(15);
const ROUTE_NAP: Duration = Duration::from_millis(100);

/// A topic and where its messages lie.
#[derive(Clone, Debug)]
struct Place {
    topic: String,
    broker: SocketAddr,
    write_queues: i32,
    /// Where consumers begin, one per readable message queue.
    starts: Vec<i64>,
    is_ours: bool,
}

pub struct RocketMq {
    options: Options,
    name_server: SocketAddr,
    run: RunId,
    places: Vec<Place>,
}

impl RocketMq {
    pub fn new(options: Options, name_server: SocketAddr, run: RunId) -> RocketMq {
        RocketMq {
            options,
            name_server,
            run,
            places: Vec::new(),
        }
    }

    /// Asks where a topic is; `None` if there is no such topic.
    fn route(&self, names: &mut Talk, topic: &str) -> Result<Option<Place>, String> {
        let header = RouteInfo {
            topic: topic.into(),
            accept_standard_json_only: Some(true),
        };
        let answer = names.ask(RequestCode::GetRouteInfoByTopic, &header, &[])?;
        if answer.code == ResponseCode::TopicNotExist.to_wire() {
            return Ok(None);
        }
        let answer = answer.or_refused("the route of a topic")?;
        let route: TopicRouteData =
            from_slice(&answer.body).map_err(|e| format!("the route of \"{topic}\": {e}"))?;
        let place = route.queue_datas.iter().find_map(|queues| {
            let mut brokers = route.broker_datas.iter();
            let broker = brokers.find(|broker| broker.broker_name == queues.broker_name)?;
            Some((queues, broker.broker_addrs.get(&MASTER)?))
        });
        let Some((queues, address)) = place else {
            return Err(format!("topic \"{topic}\" is on no master"));
        };
        let (host, port) = address.rsplit_once(':').ok_or("a broker without a port")?;
        let port = port.parse().map_err(|_| "a broker without a port")?;
        Ok(Some(Place {
            topic: topic.to_owned(),
            broker: resolve(host, port)?,
            write_queues: queues.write_queue_nums.max(1),
            starts: vec![0; queues.read_queue_nums.max(1) as usize],
            is_ours: false,
        }))
    }

    fn make(&self, names: &mut Talk, topic: &str) -> Result<Place, String> {
        // A broker that has just started registers after a while.
        let template = self.awaited_route(names, TEMPLATE)?;
        let template = template.ok_or("no broker makes topics; make it by hand")?;
        let mut broker = Talk::connect(template.broker)?;
        create(&mut broker, topic)?;
        broker.close();
        let place = self.awaited_route(names, topic)?;
        let place = place.ok_or_else(|| format!("topic \"{topic}\" was made and has no route"))?;
        Ok(Place {
            is_ours: true,
            ..place
        })
    }

    fn awaited_route(&self, names: &mut Talk, topic: &str) -> Result<Option<Place>, String> {
        let deadline = Instant::now() + ROUTE_WAIT;
        loop {
            let found = self.route(names, topic)?;
            if found.is_some() || Instant::now() >= deadline {
                return Ok(found);
            }
            thread::sleep(ROUTE_NAP);
        }
    }

    fn starts(&self, place: &Place) -> Result<Vec<i64>, String> {
        let mut broker = Talk::connect(place.broker)?;
        let queues = 0..place.starts.len() as i32;
        let starts = queues
            .map(|queue_id| match self.options.mode() {
                Mode::Drain => stopped(&mut broker, &place.topic, queue_id),
                Mode::Flow | Mode::Fill(_) | Mode::FillDrain(_) | Mode::Churn(_) => {
                    let header = MaxOffset {
                        topic: place.topic.as_str().into(),
                        queue_id,
                        committed: None,
                    };
                    let answer = broker.ask(RequestCode::GetMaxOffset, &header, &[])?;
                    answer.or_refused("the end of a queue")?.offset()
                }
            })
            .collect();
        broker.close();
        starts
    }

    /// The message queues of consumer `number`: of each of its topics, every n-th, where n is the
    /// number of its consumers.
    fn pulls(&self, number: usize) -> Vec<Start> {
        let (count, topics) = (self.options.consumers, self.options.queues);
        let mut pulls = Vec::new();
        for topic in share(number, count, topics) {
            let others =
                (0..count).filter(|other| share(*other, count, topics).any(|t| t == topic));
            let rank = others.clone().position(|other| other == number);
            let place = &self.places[topic];
            let mine = (0..place.starts.len()).skip(rank.unwrap_or(0));
            for queue in mine.step_by(others.count().max(1)) {
                pulls.push(Start {
                    topic: place.topic.clone(),
                    queue_id: queue as i32,
                    offset: place.starts[queue],
                });
            }
        }
        pulls
    }
}

impl Wire for RocketMq {
    fn prepare(&mut self) -> Result<(), String> {
        let mut names = Talk::connect(self.name_server)?;
        for number in 0..self.options.queues {
            let topic = self.options.queue_name(number);
            let mut place = match self.route(&mut names, &topic)? {
                Some(place) => place,
                None => self.make(&mut names, &topic)?,
            };
            place.starts = self.starts(&place)?;
            self.places.push(place);
        }
        names.close();
        let first = &self.places[0];
        match self.places.iter().find(|p| p.broker != first.broker) {
            None => Ok(()),
            Some(other) => Err(format!(
                "topics \"{}\" and \"{}\" are on two brokers; one can be measured at a time",
                first.topic, other.topic
            )),
        }
    }

    fn producers(&self, numbers: Range<usize>) -> Result<Vec<Seat>, String> {
        let id = format!("127.0.0.1@bench-{:x}-p{}", self.run.0, numbers.start);
        let mut talk = Talk::connect(self.places[0].broker)?;
        talk.beat_as_producer(&id)?;
        let mut topics: Vec<usize> = Vec::new();
        for number in numbers.clone() {
            topics.extend(share(number, self.options.producers, self.options.queues));
        }
        topics.sort_unstable();
        topics.dedup();
        let targets = topics.into_iter().flat_map(|topic| {
            let place = &self.places[topic];
            (0..place.write_queues).map(|queue_id| (place.topic.clone(), queue_id))
        });
        let source = Source::new(&self.options, numbers, talk::FIRST_MESSAGE_OPAQUE);
        let sender = Sender::new(id, targets.collect(), self.options.size, self.run, source);
        Ok(vec![Seat {
            link: Link::new(talk.into_dialogue())?,
            conversation: Box::new(sender),
        }])
    }

    fn consumer(&self, number: usize) -> Result<Seat, String> {
        let id = format!("127.0.0.1@bench-{:x}-c{number}", self.run.0);
        let mut talk = Talk::connect(self.places[0].broker)?;
        let topics = self.options.queue_names(number, self.options.consumers);
        talk.beat_as_consumer(&id, &topics)?;
        let puller = Puller::new(
            id,
            topics,
            self.pulls(number),
            self.options.prefetch().into(),
        );
        let mut dialogue = talk.into_dialogue();
        puller.begin(&mut dialogue.out)?;
        Ok(Seat {
            link: Link::new(dialogue)?,
            conversation: Box::new(puller),
        })
    }

    fn clear(&mut self) -> Result<(), String> {
        for place in self.places.iter().filter(|place| place.is_ours) {
            let mut broker = Talk::connect(place.broker)?;
            let mut names = Talk::connect(self.name_server)?;
            delete(&mut broker, &mut names, &place.topic)?;
            broker.close();
            names.close();
        }
        Ok(())
    }

    fn cycle(&self, number: usize, churn: Churn) -> Result<Cycle, String> {
        let mut names = Talk::connect(self.name_server)?;
        let place = self.route(&mut names, TEMPLATE)?;
        let broker = place.ok_or("no broker makes topics")?.broker;
        let run = self.run.0;
        let mut turn = 0;
        match churn {
            Churn::Connections => {
                names.close();
                Ok(Box::new(move || {
                    turn += 1;
                    let id = format!("127.0.0.1@bench-{run:x}-{number}-{turn}");
                    let mut talk = Talk::connect(broker)?;
                    talk.beat_as_producer(&id)?;
                    talk.unregister(&id)?;
                    talk.close();
                    Ok(())
                }))
            }
            Churn::Queues => {
                let mut talk = Talk::connect(broker)?;
                let topic = format!("{}-churn-{run:x}-{number}", self.options.queue);
                Ok(Box::new(move || {
                    create(&mut talk, &topic)?;
                    delete(&mut talk, &mut names, &topic)
                }))
            }
        }
    }
}

fn create(broker: &mut Talk, topic: &str) -> Result<(), String> {
    let header = CreateTopic {
        topic: topic.into(),
        default_topic: TEMPLATE.into(),
        read_queue_nums: MADE_QUEUES,
        write_queue_nums: MADE_QUEUES,
        perm: READ_AND_WRITE,
        topic_filter_type: "SINGLE_TAG".into(),
        topic_sys_flag: Some(0),
        ..CreateTopic::default()
    };
    let answer = broker.ask(RequestCode::UpdateAndCreateTopic, &header, &[])?;
    answer.or_refused("making a topic").map(drop)
}

fn delete(broker: &mut Talk, names: &mut Talk, topic: &str) -> Result<(), String> {
    let header = Topic {
        topic: topic.into(),
    };
    let answer = broker.ask(RequestCode::DeleteTopicInBroker, &header, &[])?;
    answer.or_refused("deleting a topic")?;
    let header = DeleteTopic {
        topic: topic.into(),
        cluster_name: None,
    };
    let answer = names.ask(RequestCode::DeleteTopicInNameServer, &header, &[])?;
    answer.or_refused("deleting a route").map(drop)
}

/// Where the group has stopped, or the beginning of the queue.
fn stopped(broker: &mut Talk, topic: &str, queue_id: i32) -> Result<i64, String> {
    let header = QueryConsumerOffset {
        consumer_group: CONSUMERS.into(),
        topic: topic.into(),
        queue_id,
        set_zero_if_not_found: None,
    };
    let committed = broker.ask(RequestCode::QueryConsumerOffset, &header, &[])?;
    if committed.is_success() {
        return committed.offset();
    }
    let header = QueueOfTopic {
        topic: topic.into(),
        queue_id,
    };
    let least = broker.ask(RequestCode::GetMinOffset, &header, &[])?;
    least.or_refused("the beginning of a queue")?.offset()
}
