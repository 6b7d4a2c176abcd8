//! The wire forms are a promise: each message has a golden file, written by the first version that had it.

use agents::negotiation::{
    Certificate, DemandAnswer, Draw, Envelope, EscrowGrant, EscrowReturn, Phase, PriceQuote, PriceTable,
    Prices, RewardDemand, RowMix, SegmentWeights,
};
use domain::{Milli, PriceQ20, SegmentIndex, Timestamp};
use serde::Serialize;
use serde::de::DeserializeOwned;

fn envelope() -> Envelope {
    Envelope {
        schema: 1,
        program: "shop".into(),
        epoch: 3,
        batch: 17,
        round: 2,
        price_version: 16,
        deadline: Timestamp(1_700_000_000_005_000),
    }
}

fn check<M: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(message: &M, golden: &str) {
    let json = serde_json::to_string_pretty(message).unwrap();
    assert_eq!(json, golden.trim_end(), "the wire form changed: raise the schema number");
    assert_eq!(&serde_json::from_str::<M>(golden).unwrap(), message);
}

#[test]
fn a_price_quote_keeps_its_form() {
    let quote = PriceQuote {
        envelope: envelope(),
        prices: Prices {
            global: PriceQ20(1_897_000),
            segments: vec![PriceQ20(0), PriceQ20(165_000)],
            rewards: vec![0, 393_711, 0],
            subsidies: vec![0, 70_000],
        },
        weights: vec![
            SegmentWeights { phases: vec![Phase { events_q16: 65_536_000, value: Milli(1000) }], closed: 0 },
            SegmentWeights { phases: vec![Phase { events_q16: 32_768, value: Milli(1700) }], closed: 4 },
        ],
        mix: RowMix::Recent(Milli(300)),
    };
    check(&quote, include_str!("golden/price_quote.json"));
}

#[test]
fn a_demand_answer_keeps_its_form() {
    let answer = DemandAnswer {
        envelope: envelope(),
        segment: SegmentIndex(1),
        demand: vec![
            RewardDemand { events_q16: 0, value_q16: 0 },
            RewardDemand { events_q16: 3_276_800, value_q16: 170_141_183_460_469_231_731 },
        ],
        net_q16: -7,
        rows_used: 2_048,
        rows_digest: u64::MAX,
        arrivals: 12_345,
        frozen_at: 12_300,
    };
    check(&answer, include_str!("golden/demand_answer.json"));
}

#[test]
fn a_price_table_keeps_its_form() {
    let table = PriceTable {
        envelope: envelope(),
        version: 17,
        valid_from_batch: 17,
        published_at: Timestamp(1_700_000_000_001_000),
        ttl_micros: 30_000_000,
        value_milli: 1000,
        rows: vec![vec![361_861, 904_655], vec![1 << 50, -5]],
    };
    check(&table, include_str!("golden/price_table.json"));
}

#[test]
fn escrow_messages_keep_their_form() {
    let grant = EscrowGrant {
        envelope: envelope(),
        lease: 9,
        expires_at: Timestamp(1_700_000_150_000_000),
        add: vec![5_000_000, 0],
        limit: vec![8_000_000, 2],
    };
    check(&grant, include_str!("golden/escrow_grant.json"));
    let back = EscrowReturn { lease: 9, sequence: 4, amounts: vec![1_000_000, 1] };
    check(&back, include_str!("golden/escrow_return.json"));
    check(&Draw { lease: 9, amounts: vec![0, 3] }, include_str!("golden/draw.json"));
}

#[test]
fn a_certificate_of_the_first_version_is_still_read_and_confirmed() {
    let golden = include_str!("golden/certificate.json");
    let certificate: Certificate = serde_json::from_str(golden).unwrap();
    check(&certificate, golden);
    agents::check::verify(&certificate).unwrap();
}

#[test]
fn messages_with_unknown_members_are_refused() {
    let golden = include_str!("golden/draw.json").replace("\"lease\"", "\"later\": 1, \"lease\"");
    assert!(serde_json::from_str::<Draw>(&golden).is_err());
}
