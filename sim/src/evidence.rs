//! Evidence about decisions in one file: the rows that a question is answered from, each with its proof.
//!
//! For each decision: the row itself, the run and the models it was made by, the policy it names, what people signed
//! about that policy, the kill switches turned before it, who those people were at the time, and the certificate of the
//! negotiation whose prices it used. Whoever receives the file needs a
//! public key or a signed head of the log, and nothing else: [`Evidence::check`] holds every proof to it, and then the
//! rows to each other. Nothing personal is in it.

use std::collections::BTreeMap;

use agents::negotiation::{Plan, Status};
use domain::Digest;
use domain::decision::PublicDecision;
use domain::digest::hex;
use ledger::note::Head;
use ledger::proof::{InclusionProof, ProofError, Trust};
use ledger::{KeyHistory, Kind, Public, Reader, Row, Seq};
use policies::Bundle;
use policies::registry::{Role, Signed};
use serde::{Deserialize, Serialize};

use crate::explain;

/// Most decisions in one file.
pub const DECISIONS_MAX: usize = 100;

/// The kinds of rows that decisions refer to, but certificates, of which there are many.
const CONTEXT: [Kind; 8] = [
    Kind::Start,
    Kind::Models,
    Kind::Bundle,
    Kind::Operation,
    Kind::Approval,
    Kind::ImpactReport,
    Kind::KillSwitch,
    Kind::People,
];

/// Rows that people signed.
const SIGNED: [Kind; 3] = [Kind::Operation, Kind::Approval, Kind::KillSwitch];

/// The form of the file.
const VERSION: u32 = 1;

/// Why there is no evidence, or why it does not hold.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Ledger(#[from] ledger::Error),
    #[error(transparent)]
    Explain(#[from] explain::Error),
    #[error("row {0} is not a decision; evidence is about decisions")]
    NotADecision(Seq),
    #[error("the log does not hold {0}")]
    Missing(String),
    #[error("not an evidence file: {0}")]
    Malformed(String),
    #[error("{what} (row {row}): {why}")]
    Unproven { what: String, row: u64, why: ProofError },
    #[error("row {row}: {why}")]
    Contradiction { row: u64, why: String },
}

/// A row with what it is evidence of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Item {
    /// `decision`, `run`, `models`, `policy`, `step`, `stop`, `people`, `report` or `negotiation`.
    pub what: String,
    pub row: u64,
    /// The row's proof, as `largesse log prove` writes it.
    pub proof: String,
}

/// The file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    pub v: u32,
    /// The rows of the decisions it is about.
    pub about: Vec<u64>,
    pub items: Vec<Item>,
}

/// What holds about one decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Holds {
    pub row: u64,
    pub decision: String,
    pub outcome: String,
    pub reason: String,
    /// The policy's digest, recomputed from its bytes.
    pub policy: Digest,
    /// What people signed about the policy, and the kill switches before it, in order: step, by whom, row. That none is missing
    /// only the log can tell.
    pub steps: Vec<(String, String, u64)>,
    /// What the certificate of its prices says, verified again. Without one they were those of a period's beginning, or
    /// somebody left the certificate out: only the log can tell.
    pub prices: Option<Prices>,
}

/// What a certificate says about prices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Prices {
    pub row: u64,
    /// Whether the negotiation was concluded, or why it was not and the prices are a fallback.
    pub status: Status,
    /// How far from the best possible plan at most, in parts per million.
    pub gap_ppm: u32,
}

impl Evidence {
    /// Collects the evidence about decisions, proven under one head.
    ///
    /// # Errors
    /// When a row is no decision, or the log does not hold what a decision refers to.
    pub fn gather(reader: &Reader, decisions: &[Row], head: &Head, note: &str) -> Result<Evidence, Error> {
        // Read once for all decisions: of these kinds a ledger holds few rows.
        let context = reader.of_kinds(&CONTEXT)?;
        let mut rows: BTreeMap<Seq, &'static str> = BTreeMap::new();
        for row in decisions {
            if row.kind != Kind::Decision {
                return Err(Error::NotADecision(row.seq));
            }
            rows.insert(row.seq, "decision");
            referred(reader, &context, row, &mut rows)?;
        }
        let items = rows.into_iter().map(|(seq, what)| {
            let proof = reader.prove(seq, head, note)?;
            Ok(Item { what: what.to_owned(), row: seq.0, proof: proof.to_text() })
        });
        let about = decisions.iter().map(|row| row.seq.0).collect();
        Ok(Evidence { v: VERSION, about, items: items.collect::<Result<_, Error>>()? })
    }

    /// Reads a file.
    ///
    /// # Errors
    /// When it is none.
    pub fn from_text(text: &str) -> Result<Evidence, Error> {
        let evidence: Evidence =
            serde_json::from_str(text).map_err(|error| Error::Malformed(error.to_string()))?;
        if evidence.v != VERSION {
            return Err(Error::Malformed(format!("form {} is unknown to this build", evidence.v)));
        }
        Ok(evidence)
    }

    /// Holds every proof to a key or head, and the rows to each other.
    ///
    /// # Errors
    /// The first proof that fails, or the first row that contradicts another.
    pub fn check(&self, trust: &Trust) -> Result<(Head, Vec<Holds>), Error> {
        let mut head = None;
        let mut proofs = Vec::new();
        for item in &self.items {
            let unproven = |why| Error::Unproven { what: item.what.clone(), row: item.row, why };
            let proof = InclusionProof::from_text(&item.proof).map_err(unproven)?;
            let proven = proof.check(trust).map_err(unproven)?;
            // Rows under two heads could be those of two logs that one key signed.
            if head.as_ref().is_some_and(|head: &Head| *head != proven) {
                let why =
                    "it is proven under another head than the rows before it; a file has one".to_owned();
                return Err(Error::Contradiction { row: item.row, why });
            }
            head = Some(proven);
            if proof.seq.0 != item.row {
                return Err(Error::Malformed(format!(
                    "the proof given for row {} is of row {}",
                    item.row, proof.seq
                )));
            }
            proofs.push(proof);
        }
        let head = head.ok_or_else(|| Error::Malformed("it holds no rows".to_owned()))?;
        if self.about.is_empty() {
            return Err(Error::Malformed("it is about no decision".to_owned()));
        }
        let mut rows = BTreeMap::new();
        for (proof, item) in proofs.iter().zip(&self.items) {
            let unproven = |why| Error::Unproven { what: item.what.clone(), row: item.row, why };
            let columns = proof.columns().map_err(unproven)?;
            if !is_a(&item.what, columns.kind) {
                let why = format!("it is no {}, as the file calls it", item.what);
                return Err(Error::Contradiction { row: item.row, why });
            }
            rows.insert(item.row, columns);
        }
        let identity = trust.key.as_ref().map(KeyHistory::identity);
        let case = Case { rows, identity };
        let holds = self.about.iter().map(|row| case.decision(*row)).collect::<Result<_, _>>()?;
        Ok((head, holds))
    }
}

/// Whether rows of this kind are called so in the file.
fn is_a(what: &str, kind: i64) -> bool {
    let kinds: &[Kind] = match what {
        "decision" => &[Kind::Decision],
        "run" => &[Kind::Start],
        "models" => &[Kind::Models],
        "policy" => &[Kind::Bundle],
        "step" => &[Kind::Operation, Kind::Approval],
        "stop" => &[Kind::KillSwitch],
        "people" => &[Kind::People],
        "report" => &[Kind::ImpactReport],
        "negotiation" => &[Kind::Certificate],
        _ => &[],
    };
    kinds.iter().any(|known| i64::from(known.number()) == kind)
}

/// Every row a decision refers to.
fn referred(
    reader: &Reader,
    context: &[Row],
    row: &Row,
    rows: &mut BTreeMap<Seq, &'static str>,
) -> Result<(), Error> {
    let missing = |what: String| Error::Missing(what);
    let of_kind = |kind: Kind| context.iter().filter(move |other| other.kind == kind);
    let start = of_kind(Kind::Start).rev().find(|start| start.seq < row.seq && start.epoch == row.epoch);
    rows.insert(start.ok_or_else(|| missing(format!("the run of row {}", row.seq)))?.seq, "run");
    if let Some(models) = row.models {
        let found = of_kind(Kind::Models).find(|other| other.models == Some(models));
        rows.insert(found.ok_or_else(|| missing(format!("models {models}")))?.seq, "models");
    }
    let bundle = row.bundle.ok_or_else(|| missing(format!("the policy of row {}", row.seq)))?;
    let policy = of_kind(Kind::Bundle).find(|other| other.bundle == Some(bundle));
    rows.insert(policy.ok_or_else(|| missing(format!("policy {bundle}")))?.seq, "policy");
    let said = [Kind::Operation, Kind::Approval, Kind::ImpactReport].map(of_kind);
    for step in said.into_iter().flatten().filter(|step| step.bundle == Some(bundle) && step.seq < row.seq) {
        rows.insert(step.seq, if step.kind == Kind::ImpactReport { "report" } else { "step" });
    }
    for stop in of_kind(Kind::KillSwitch).filter(|stop| stop.seq < row.seq) {
        rows.insert(stop.seq, "stop");
    }
    // Who was who at each step: people.toml as it was judged by, which an older build did not record.
    let signed: Vec<Seq> =
        rows.iter().filter(|(_, what)| matches!(**what, "step" | "stop")).map(|(seq, _)| *seq).collect();
    for step in signed {
        let before = of_kind(Kind::People).rev().find(|people| people.seq < step);
        rows.extend(before.map(|people| (people.seq, "people")));
    }
    let body = row
        .body
        .as_deref()
        .ok_or_else(|| missing(format!("the public part of row {}: it was pruned", row.seq)))?;
    let public = public(body, row.seq.0)?;
    if let (Some(plan), _) = explain::negotiation(reader, row.seq, public.bundle, public.table)? {
        rows.insert(Seq(plan.seq), "negotiation");
    }
    Ok(())
}

fn public(body: &str, row: u64) -> Result<PublicDecision, Error> {
    serde_json::from_str(body).map_err(|error| Error::Contradiction { row, why: error.to_string() })
}

/// Proven rows.
struct Case<'a> {
    rows: BTreeMap<u64, Public<'a>>,
    /// Of the log, where its key was given.
    identity: Option<String>,
}

impl Case<'_> {
    fn of_kind(&self, kind: Kind) -> impl Iterator<Item = (u64, &Public<'_>)> {
        let number = i64::from(kind.number());
        self.rows.iter().filter(move |(_, row)| row.kind == number).map(|(seq, row)| (*seq, row))
    }

    fn decision(&self, row: u64) -> Result<Holds, Error> {
        let wrong = |why: String| Error::Contradiction { row, why };
        let columns = self.rows.get(&row).ok_or_else(|| wrong("it is not in the file".to_owned()))?;
        if columns.kind != i64::from(Kind::Decision.number()) {
            return Err(wrong("it is not a decision".to_owned()));
        }
        let decision = public(columns.body.unwrap_or_default(), row)?;
        if columns.bundle != Some(&decision.bundle.0) {
            return Err(wrong("its column and its body name different policies".to_owned()));
        }
        if !self.of_kind(Kind::Start).any(|(start, run)| start < row && run.epoch == columns.epoch) {
            return Err(wrong("the run that made it is not in the file".to_owned()));
        }
        if let Some(models) = columns.models
            && !self.of_kind(Kind::Models).any(|(_, other)| other.models == Some(models))
        {
            return Err(wrong(format!("models {} are not in the file", hex(models))));
        }
        let policy = self.policy(row, decision.bundle)?;
        let mut steps = Vec::new();
        for (seq, step) in SIGNED.into_iter().flat_map(|kind| self.of_kind(kind)) {
            // What was signed afterwards is not what the decision rests on.
            let stops = step.kind == i64::from(Kind::KillSwitch.number());
            if seq < row && (stops || step.bundle == Some(&decision.bundle.0)) {
                steps.extend(self.signed(seq, step)?);
            }
        }
        steps.sort_by_key(|(_, _, seq)| *seq);
        Ok(Holds {
            row,
            decision: decision.decision.to_string(),
            outcome: decision.outcome.to_string(),
            reason: decision.reason.name().to_owned(),
            policy: policy.digest(),
            steps,
            prices: self.negotiation(row, &decision)?,
        })
    }

    /// The policy's bytes have the digest that the decision names.
    fn policy(&self, row: u64, digest: Digest) -> Result<Bundle, Error> {
        let wrong = |why: String| Error::Contradiction { row, why };
        let stored = self.of_kind(Kind::Bundle).find(|(_, stored)| stored.bundle == Some(&digest.0));
        let (seq, stored) =
            stored.ok_or_else(|| wrong(format!("policy {} is not in the file", hex(&digest.0))))?;
        let bundle = Bundle::from_canonical(stored.body.unwrap_or_default().as_bytes());
        let bundle = bundle.map_err(|problems| Error::Contradiction { row: seq, why: problems.render() })?;
        if bundle.digest() == digest {
            Ok(bundle)
        } else {
            Err(wrong(format!("row {seq} is not the policy it names")))
        }
    }

    /// The certificate of the decision's prices is verified by the independent checker.
    fn negotiation(&self, row: u64, decision: &PublicDecision) -> Result<Option<Prices>, Error> {
        for (seq, certificate) in self.of_kind(Kind::Certificate) {
            let wrong = |why: String| Error::Contradiction { row: seq, why };
            let plan: Plan = serde_json::from_str(certificate.body.unwrap_or_default())
                .map_err(|error| wrong(error.to_string()))?;
            let same_side = certificate.bundle.is_none_or(|bundle| *bundle == decision.bundle.0);
            let Some(table) = plan.table.as_ref().filter(|table| same_side && table.id() == decision.table)
            else {
                continue;
            };
            if seq >= row {
                return Err(wrong("prices were used before they were recorded".to_owned()));
            }
            let verified = agents::check::verify_table(&plan.certificate, table)
                .map_err(|violation| wrong(violation.to_string()))?;
            let (status, gap_ppm) = (plan.certificate.status, verified.gap_ppm);
            return Ok(Some(Prices { row: seq, status, gap_ppm }));
        }
        Ok(None)
    }

    /// A signed step of this log, about what its row is about, by somebody who was known by that key and might take it; a schedule
    /// that came due was signed before.
    fn signed(&self, row: u64, columns: &Public<'_>) -> Result<Option<(String, String, u64)>, Error> {
        let wrong = |why: String| Err(Error::Contradiction { row, why });
        let Ok(signed) = serde_json::from_str(columns.body.unwrap_or_default()) else { return Ok(None) };
        let Signed { statement, key, signature } = signed;
        let (by, step) = (&statement.by, &statement.step);
        if !ledger::person::is_signed(&key, &statement.bytes(), &signature) {
            return wrong(format!("the signature of {by} does not fit"));
        }
        if self.identity.as_ref().is_some_and(|identity| *identity != statement.ledger) {
            return wrong(format!("what {by} signed is about log {:?}", statement.ledger));
        }
        if step.bundle().map(|bundle| bundle.0).as_ref()
            != columns.bundle.and_then(|bundle| bundle.try_into().ok())
        {
            return wrong(format!("what {by} signed is about another policy than its row"));
        }
        if let Some((known, people)) = self.of_kind(Kind::People).take_while(|(seq, _)| *seq < row).last() {
            let people: People = serde_json::from_str(people.body.unwrap_or_default())
                .map_err(|error| Error::Contradiction { row: known, why: error.to_string() })?;
            let Some(person) = people.people.iter().find(|person| person.name == *by && person.key == key)
            else {
                return wrong(format!("{by} was not known by that key (row {known})"));
            };
            if !step.roles().iter().any(|role| person.roles.contains(role)) {
                return wrong(format!("{by} might not {} (row {known})", step.name()));
            }
        }
        Ok(Some((step.name().to_owned(), by.clone(), row)))
    }
}

/// Of a row about people, who had which key.
#[derive(Deserialize)]
struct People {
    people: Vec<Person>,
}

#[derive(Deserialize)]
struct Person {
    name: String,
    roles: Vec<Role>,
    key: String,
}

#[cfg(test)]
mod tests {
    use domain::Timestamp;
    use domain::statement::Statement;
    use ledger::person::PersonKey;
    use policies::registry::{Step, Target};

    use super::*;

    fn row(seq: i64, kind: Kind, body: &str) -> (u64, Public<'_>) {
        let public = Public {
            seq,
            record_id: &[1; 16],
            kind: i64::from(kind.number()),
            recorded_at: 0,
            event_time: None,
            partition: 0,
            epoch: 1,
            member: None,
            event_id: None,
            outcome: None,
            reason: None,
            segment: None,
            reward: None,
            touchpoint: None,
            bundle: None,
            models: None,
            semantics: 0,
            debits: None,
            body: Some(body),
        };
        (seq.unsigned_abs(), public)
    }

    #[test]
    fn a_step_counts_for_who_was_known_by_that_key_when_it_was_judged() {
        let folder = tempfile::tempdir().unwrap();
        let key = PersonKey::create("olga", &folder.path().join("olga.key")).unwrap();
        let statement = Statement {
            v: 1,
            ledger: "largesse/test+00000000".to_owned(),
            id: "0".repeat(32),
            at: Timestamp(0),
            by: "olga".to_owned(),
            step: Step::Stop { target: Target::Program, note: String::new() },
        };
        let signature = key.sign(&statement.bytes());
        let signed = Signed { statement, key: key.public(), signature };
        let (body, mut forged) = (serde_json::to_string(&signed).unwrap(), signed.clone());
        forged.statement.at = Timestamp(1);
        let forged = serde_json::to_string(&forged).unwrap();
        let people = |key: &str| {
            format!(r#"{{"v":1,"people":[{{"name":"olga","roles":["operator"],"key":"{key}"}}]}}"#)
        };
        let (known, other) = (people(&key.public()), people("another"));
        let holds = |rows: Vec<(u64, Public<'_>)>, body: &str| {
            let identity = Some("largesse/test+00000000".to_owned());
            let case = Case { rows: rows.into_iter().collect(), identity };
            case.signed(3, &row(3, Kind::KillSwitch, body).1)
                .map(|found| found.unwrap().0)
                .map_err(|error| error.to_string())
        };
        assert_eq!(holds(vec![row(2, Kind::People, &known)], &body).unwrap(), "stop");
        assert_eq!(holds(vec![], &body).unwrap(), "stop", "older builds did not record who was who");
        let later = vec![row(2, Kind::People, &known), row(4, Kind::People, &other)];
        assert_eq!(holds(later, &body).unwrap(), "stop", "what changed afterwards does not matter");
        let refused = holds(vec![row(1, Kind::People, &known), row(2, Kind::People, &other)], &body);
        assert!(refused.unwrap_err().contains("was not known by that key"));
        assert!(holds(vec![row(2, Kind::People, &known)], &forged).unwrap_err().contains("does not fit"));
        let author = known.replace("operator", "author");
        assert!(holds(vec![row(2, Kind::People, &author)], &body).unwrap_err().contains("might not stop"));
        let resigned = |change: &dyn Fn(&mut Statement<Step>)| {
            let mut statement = signed.statement.clone();
            change(&mut statement);
            let signature = key.sign(&statement.bytes());
            serde_json::to_string(&Signed { statement, key: key.public(), signature }).unwrap()
        };
        let elsewhere = resigned(&|statement| statement.ledger = "largesse/other+00000000".to_owned());
        assert!(holds(vec![], &elsewhere).unwrap_err().contains("is about log"));
        let other = resigned(&|statement| statement.step = Step::Activate { bundle: Digest::of(b"other") });
        assert!(holds(vec![], &other).unwrap_err().contains("another policy"));
    }
}
