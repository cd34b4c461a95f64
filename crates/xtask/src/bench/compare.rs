//! Runs the comparisons of one protocol: the real broker and Troika in turn, on empty data directories.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::load::{Load, Measured};
use super::peers::{Broker, Running};
use super::scenarios::{self, Compared, Scenario, Work};
use super::{Kept, Plan, Subject, install, picture, places, report};

pub fn run(subject: Subject, plan: &Plan) -> Result<(), String> {
    match subject {
        Subject::Amqp => install::rabbitmq()?,
        Subject::Openwire => install::activemq()?,
        Subject::Rocketmq => install::rocketmq()?,
        Subject::Memory | Subject::Routing | Subject::Instructions => {}
    }
    let troika = troika(plan)?;
    let mut compared: Vec<Compared> = Vec::new();
    // What a half is the half of, even if that comparison itself is not asked for.
    let mut peers_rates: BTreeMap<&str, f64> = BTreeMap::new();
    for scenario in wanted(subject, plan) {
        println!("{}: {}", scenario.name, scenario.title);
        let load = load(&scenario, &peers_rates);
        let mut runs = (Vec::new(), Vec::new());
        for round in 1..=plan.rounds {
            for broker in [scenario.peer, Broker::Troika] {
                let measured = Running::start(broker, &troika)
                    .and_then(|running| load.measure(&running, plan, &troika))?;
                println!(
                    "  {round} {:<15} {}",
                    broker.name(),
                    report::short(&measured)
                );
                if broker == Broker::Troika {
                    runs.1.push(measured);
                } else {
                    runs.0.push(measured);
                }
            }
        }
        let (peer, troika) = (Measured::median(&runs.0), Measured::median(&runs.1));
        peers_rates.insert(scenario.name, peer.per_second);
        compared.push(Compared {
            scenario,
            peer,
            troika,
            asked: load.asked(),
        });
    }
    let text = report::comparison(&compared, plan);
    match plan.kept {
        Kept::Printed => println!("{text}"),
        Kept::Documents => {
            for one in &compared {
                let file = places::docs()
                    .join("images")
                    .join(format!("bench-{}.svg", one.scenario.name));
                report::write(&file, &picture::of(one))?;
            }
            report::replace(subject.name(), &text)?;
        }
    }
    Ok(())
}

/// The scenarios that are asked for, and those whose rates they need.
fn wanted(subject: Subject, plan: &Plan) -> Vec<Scenario> {
    let all = scenarios::of(subject);
    let Some(only) = &plan.only else { return all };
    let mut names: Vec<&str> = Vec::new();
    for scenario in all
        .iter()
        .filter(|scenario| scenario.name.contains(only.as_str()))
    {
        names.push(scenario.name);
        if let Work::HalfOf(name, _) = scenario.work {
            names.push(name);
        }
    }
    all.into_iter()
        .filter(|scenario| names.contains(&scenario.name))
        .collect()
}

fn load(scenario: &Scenario, peers_rates: &BTreeMap<&str, f64>) -> Load {
    match scenario.work {
        Work::Full(load) => load,
        Work::HalfOf(name, shape) => Load::Paced {
            shape,
            rate: peers_rates.get(name).map_or(1000.0, |rate| rate / 2.0),
        },
    }
}

/// The release build that is measured.
pub fn troika(plan: &Plan) -> Result<PathBuf, String> {
    match &plan.troika {
        Some(path) if path.is_file() => {
            std::path::absolute(path).map_err(|error| error.to_string())
        }
        Some(path) => Err(format!("there is no troika binary at {}", path.display())),
        None => {
            crate::cargo(&["build", "--quiet", "--release", "--package", "troika"])?;
            Ok(Path::new(&crate::target()).join("release").join("troika"))
        }
    }
}
