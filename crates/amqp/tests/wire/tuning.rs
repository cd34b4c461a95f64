//! What a server accepts in tune-ok, and what a client answers.

use amqp::tune::{Offer, Tuning};
use amqp::{FrameMax, Method, ReplyCode};

fn settle(offer: Offer, channel_max: u16, frame_max: u32) -> Result<(u16, u32), String> {
    let settled = offer.settle(channel_max, frame_max, 30);
    settled
        .map(|tuning| {
            assert_eq!(
                tuning.heartbeat_s, 30,
                "the client's heartbeat is used as it is"
            );
            (tuning.channel_max, tuning.frame_max.octets())
        })
        .map_err(|refusal| {
            assert_eq!(refusal.code(), ReplyCode::NotAllowed);
            refusal.to_string()
        })
}

#[test]
fn tune_ok_stays_within_the_offer() {
    let offer = Offer::default();
    assert_eq!(settle(offer, 2047, 131_072), Ok((2047, 131_072)));
    assert_eq!(settle(offer, 1, 4096), Ok((1, 4096)));
    let text = "negotiated frame_max = 100 is lower than the minimum allowed value (4096)";
    assert_eq!(settle(offer, 1, 100), Err(text.into()));
    let strict = Offer {
        frame_max_floor: 8192,
        ..offer
    };
    let text = "negotiated frame_max = 4096 is lower than the minimum allowed value (8192)";
    assert_eq!(settle(strict, 1, 4096), Err(text.into()));
    let text = "negotiated frame_max = 131073 is higher than the maximum allowed value (131072)";
    assert_eq!(settle(offer, 1, 131_073), Err(text.into()));
    let text =
        "negotiated frame_max = 0 (no limit) is higher than the maximum allowed value (131072)";
    assert_eq!(settle(offer, 1, 0), Err(text.into()));
    let text = "negotiated channel_max = 0 (no limit) is higher than the maximum allowed value \
                (2047)";
    assert_eq!(settle(offer, 0, 4096), Err(text.into()));
    let text = "negotiated channel_max = 2048 is higher than the maximum allowed value (2047)";
    assert_eq!(settle(offer, 2048, 4096), Err(text.into()));
    let unlimited = Offer {
        channel_max: 0,
        ..offer
    };
    assert_eq!(settle(unlimited, 0, 4096), Ok((65535, 4096)));
}

#[test]
fn a_client_takes_the_lesser_of_both() {
    let wanted = Tuning {
        channel_max: 100,
        frame_max: FrameMax::new(65_536).unwrap(),
        heartbeat_s: 60,
    };
    let answer = Tuning::answer(wanted, 0, 0, 10).unwrap();
    assert_eq!(
        answer,
        Tuning {
            heartbeat_s: 10,
            ..wanted
        }
    );
    let answer = Tuning::answer(wanted, 7, 8192, 600).unwrap();
    let tune_ok = Method::ConnectionTuneOk {
        channel_max: 7,
        frame_max: 8192,
        heartbeat: 60,
    };
    assert_eq!(answer.tune_ok(), tune_ok);
    assert_eq!(Tuning::answer(wanted, 7, 100, 0), None);
    let tune = Method::ConnectionTune {
        channel_max: 2047,
        frame_max: 131_072,
        heartbeat: 60,
    };
    assert_eq!(Offer::default().tune(), tune);
}
