//! Assignment by the broker: 400, asked by consumers of 5.x that do not balance by themselves. They
//! are told to pull; there is no POP.

use std::ops::Range;

use remoting::body::{
    AssignmentMode, MessageModel, MessageQueue, MessageQueueAssignment, QueryAssignmentBody,
    QueryAssignmentResponse, from_slice, to_vec,
};

use super::RemotingDoor;
use super::creation::Stop;
use super::dispatch::Request;
use super::heartbeat::unreadable;
use super::topic::{self, Found};
use crate::access::{Action, Resource};
use crate::door::Context;

/// How queues are dealt out; every member computes the same, from sorted lists.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Strategy {
    /// Neighbours stay together.
    Averagely,
    /// One after the other, round and round.
    ByCircle,
}

impl Strategy {
    fn named(name: &str) -> Option<Strategy> {
        match name {
            "AVG" => Some(Strategy::Averagely),
            "AVG_BY_CIRCLE" => Some(Strategy::ByCircle),
            _ => None,
        }
    }

    /// The queues, out of so many, of one member, out of so many.
    fn allocate(self, queues: u32, member: u32, members: u32) -> Vec<u32> {
        match self {
            Strategy::Averagely => averagely(queues, member, members).collect(),
            Strategy::ByCircle => (member..queues).step_by(members.max(1) as usize).collect(),
        }
    }
}

/// The first members get one more if it does not come out even.
fn averagely(queues: u32, member: u32, members: u32) -> Range<u32> {
    let (each, more) = (queues / members.max(1), queues % members.max(1));
    let start = member * each + member.min(more);
    start..start + each + u32::from(member < more)
}

impl RemotingDoor {
    /// 400. Without a list in the answer the client keeps what it has.
    pub(super) fn query_assignment(
        &mut self,
        request: &Request<'_>,
        cx: &mut Context<'_>,
    ) -> Result<(), Stop> {
        let body: QueryAssignmentBody = from_slice(request.command.body).map_err(unreadable)?;
        let resource = Resource::Group(&body.consumer_group);
        self.allow(&request.asker, Action::Read, resource, cx)?;
        let queues = match topic::find(cx.topology, &body.topic) {
            Found::Topic(_, partitions) => Some(partitions.read),
            Found::Taken | Found::Absent => None,
        };
        let numbers = queues.and_then(|queues| self.assigned(&body, queues));
        let assignment = |number: u32| MessageQueueAssignment {
            attachments: None,
            message_queue: MessageQueue {
                broker_name: self.settings.broker.to_string(),
                queue_id: number as i32,
                topic: body.topic.clone(),
            },
            mode: Some(AssignmentMode::Pull),
        };
        let response = QueryAssignmentResponse {
            message_queue_assignments: numbers
                .map(|numbers| numbers.into_iter().map(assignment).collect()),
        };
        request.asker.body(&to_vec(&response), cx);
        Ok(())
    }

    fn assigned(&self, body: &QueryAssignmentBody, queues: u32) -> Option<Vec<u32>> {
        if body.message_model? == MessageModel::Broadcasting {
            return Some((0..queues).collect());
        }
        let ids = self
            .clients
            .consumer_group(&body.consumer_group)?
            .client_ids();
        let strategy = Strategy::named(&body.strategy_name)?;
        // Who is no member is to let go of everything.
        let member = ids.iter().position(|id| *id == body.client_id);
        Some(member.map_or_else(Vec::new, |member| {
            strategy.allocate(queues, member as u32, ids.len() as u32)
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_queue_has_one_member() {
        let all = |strategy: Strategy, queues, members| -> Vec<Vec<u32>> {
            (0..members)
                .map(|member| strategy.allocate(queues, member, members))
                .collect()
        };
        let (avg, circle) = (Strategy::Averagely, Strategy::ByCircle);
        assert_eq!(all(avg, 4, 2), [[0, 1], [2, 3]]);
        assert_eq!(all(circle, 4, 2), [[0, 2], [1, 3]]);
        assert_eq!(all(avg, 5, 3), [vec![0, 1], vec![2, 3], vec![4]]);
        assert_eq!(all(avg, 1, 3), [vec![0], vec![], vec![]]);
        assert_eq!(all(circle, 1, 3), [vec![0], vec![], vec![]]);
    }
}
