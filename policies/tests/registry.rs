//! The rules of a policy's life, without a ledger: what may follow what, and when a schedule comes due.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use domain::time::{HOUR, SECOND};
use domain::{Digest, MemberId, Ppm, Timestamp};
use policies::registry::{
    Due, Person, Refusal, Registry, Role, Share, Signed, Statement, Step, Target, VERSION, explain,
};
use policies::{Bundle, RewardKind, Stops};
use proptest::prelude::*;

const MINUTE: i64 = 60 * SECOND;
const NOW: Timestamp = Timestamp(1_700_000_000_000_000);

struct Desk {
    registry: Registry,
    bundle: Bundle,
    now: Timestamp,
    taken: u32,
}

impl Desk {
    fn open() -> Desk {
        let bundle = policies::starter::grocery().unwrap();
        let mut registry = Registry::new("log+0");
        registry.started(bundle.digest(), NOW);
        Desk { registry, bundle, now: NOW, taken: 0 }
    }

    fn statement(&self, by: &str, step: Step) -> Statement {
        let id = format!("{:032}", self.taken);
        Statement { v: VERSION, ledger: "log+0".to_owned(), id, at: self.now, by: by.to_owned(), step }
    }

    fn ask(&self, by: &str, step: Step) -> Result<(), Refusal> {
        self.judge(&self.statement(by, step))
    }

    fn judge(&self, statement: &Statement) -> Result<(), Refusal> {
        let roles = match statement.by.as_str() {
            "author" => vec![Role::Author],
            "approver" => vec![Role::Approver],
            "operator" => vec![Role::Operator],
            "auditor" => vec![Role::Auditor],
            _ => vec![Role::Author, Role::Approver, Role::Operator],
        };
        let person = Person { name: statement.by.clone(), roles, key: key_of(&statement.by) };
        self.registry.admit(statement, &person, self.now, std::slice::from_ref(&self.bundle))
    }

    fn take(&mut self, by: &str, step: Step) {
        self.now = self.now.plus(MINUTE);
        let statement = self.statement(by, step);
        self.judge(&statement).unwrap();
        let signed = Signed { key: key_of(&statement.by), signature: String::new(), statement };
        self.registry.take(&signed, self.now);
        self.taken += 1;
    }

    /// A roll-back of what is in force.
    fn back(&self, to: Digest) -> Step {
        Step::RollBack { to, from: self.registry.in_force() }
    }

    fn approve(&mut self, bundle: Digest) {
        self.take("author", submit(bundle));
        self.again(bundle);
    }

    /// Assesses a bundle beside what is in force now, and approves that.
    fn again(&mut self, bundle: Digest) {
        let impact = Digest::of(b"report");
        self.take("author", Step::Assess { bundle, impact });
        self.take("approver", Step::Approve { bundle, impact, unchecked: false });
    }
}

fn submit(bundle: Digest) -> Step {
    Step::Submit { bundle, note: String::new(), tests: Some(Digest::of(b"tests")) }
}

fn key_of(name: &str) -> String {
    format!("key of {name}")
}

fn code(result: Result<(), Refusal>) -> &'static str {
    let code = result.unwrap_err().code();
    assert!(explain(code).is_some(), "{code} has no page");
    code
}

#[test]
fn what_was_signed_before_a_roll_back_does_not_undo_it() {
    let mut desk = Desk::open();
    let bundle = Digest::of(b"first");
    let started = desk.bundle.digest();
    desk.approve(bundle);
    let steps = [Step::Activate { bundle }, Step::Canary { bundle, share: Ppm(50_000) }];
    let mut ids = ["e", "f"].map(|digit| digit.repeat(32)).into_iter();
    let early =
        steps.clone().map(|step| Statement { id: ids.next().unwrap(), ..desk.statement("approver", step) });
    let approve = Step::Approve { bundle, impact: Digest::of(b"report"), unchecked: false };
    let approval = Statement { id: "9".repeat(32), ..desk.statement("approver", approve) };
    desk.take("approver", Step::Activate { bundle });
    desk.take("operator", desk.back(started));
    for step in &steps {
        assert_eq!(code(desk.ask("approver", step.clone())), "REG0047");
    }
    let impact = Digest::of(b"report");
    assert_eq!(code(desk.judge(&approval)), "REG0046");
    desk.take("author", Step::Assess { bundle, impact });
    assert_eq!(code(desk.judge(&approval)), "REG0046");
    desk.take("approver", Step::Approve { bundle, impact, unchecked: false });
    for statement in early {
        assert_eq!(code(desk.judge(&statement)), "REG0046");
    }
    // Signed now it is meant, and somebody has approved it again.
    for step in steps {
        let statement = desk.statement("approver", step);
        desk.judge(&statement).unwrap();
    }
}

#[test]
fn what_was_signed_before_a_stop_or_a_withdrawal_undoes_neither() {
    let mut desk = Desk::open();
    let bundle = Digest::of(b"draft");
    let target = Target::Reward("voucher-5".to_owned());
    desk.approve(bundle);
    let steps = [
        Step::Resume { target: target.clone(), note: String::new() },
        Step::Canary { bundle, share: Ppm(50_000) },
        Step::Activate { bundle },
        Step::Shadow { bundle },
    ];
    let mut ids = ["a1", "b2", "c3", "d4"].map(|digits| digits.repeat(16)).into_iter();
    let early =
        steps.clone().map(|step| Statement { id: ids.next().unwrap(), ..desk.statement("director", step) });
    desk.take("director", Step::Canary { bundle, share: Ppm(50_000) });
    desk.take("operator", Step::Withdraw { bundle });
    desk.take("operator", Step::Stop { target, note: String::new() });
    for statement in early {
        assert_eq!(code(desk.judge(&statement)), "REG0046", "{:?}", statement.step);
    }
    for step in steps {
        let statement = desk.statement("director", step);
        desk.judge(&statement).unwrap();
    }
}

#[test]
fn approved_policies_come_and_go_one_step_at_a_time() {
    let mut desk = Desk::open();
    let (first, second) = (Digest::of(b"first"), Digest::of(b"second"));
    let started = desk.bundle.digest();
    assert_eq!(desk.registry.chosen(), None);
    for bundle in [first, second] {
        desk.approve(bundle);
        desk.take("approver", Step::Activate { bundle });
        assert_eq!(desk.registry.chosen(), Some(bundle));
        desk.registry.started(bundle, desk.now);
    }
    let never = Digest::of(b"never in force");
    assert_eq!(code(desk.ask("operator", desk.back(never))), "REG0017");
    assert_eq!(code(desk.ask("operator", desk.back(second))), "REG0016");
    let back = desk.back(first);
    desk.take("operator", back);
    assert_eq!(desk.registry.chosen(), Some(first));
    let back = desk.back(started);
    desk.take("operator", back);
    assert_eq!((desk.registry.in_force(), desk.registry.before()), (Some(started), None));
    // The approval of what was taken back ended with that.
    assert_eq!(code(desk.ask("approver", Step::Activate { bundle: second })), "REG0047");
    let at = desk.now.plus(HOUR);
    assert_eq!(code(desk.ask("approver", Step::Schedule { bundle: second, at })), "REG0047");
    let canary = Step::Canary { bundle: second, share: Ppm(10_000) };
    assert_eq!(code(desk.ask("approver", canary)), "REG0047");
    // It was assessed as a change of the first, and that is not in force any more.
    let approve = Step::Approve { bundle: second, impact: Digest::of(b"report"), unchecked: false };
    assert_eq!(code(desk.ask("approver", approve)), "REG0039");
    let impact = Digest::of(b"beside what is in force");
    desk.take("author", Step::Assess { bundle: second, impact });
    desk.take("approver", Step::Approve { bundle: second, impact, unchecked: false });
    desk.take("approver", Step::Activate { bundle: second });
    assert_eq!(desk.registry.in_force(), Some(second));
}

#[test]
fn an_approval_is_for_a_change_of_what_was_in_force_then() {
    let mut desk = Desk::open();
    let (first, second) = (Digest::of(b"first"), Digest::of(b"second"));
    desk.approve(first);
    desk.approve(second);
    desk.take("approver", Step::Activate { bundle: first });
    let at = desk.now.plus(HOUR);
    let steps = [
        Step::Activate { bundle: second },
        Step::Schedule { bundle: second, at },
        Step::Canary { bundle: second, share: Ppm(10_000) },
    ];
    for step in steps {
        assert_eq!(code(desk.ask("approver", step)), "REG0039");
    }
}

#[test]
fn a_roll_back_takes_back_only_what_its_signer_named() {
    let mut desk = Desk::open();
    let (first, second, started) = (Digest::of(b"first"), Digest::of(b"second"), desk.bundle.digest());
    for bundle in [first, second] {
        desk.approve(bundle);
        desk.take("approver", Step::Activate { bundle });
    }
    // Signed by somebody who has not seen the second come into force, and by a program that does not say what it takes back.
    for from in [Some(first), None] {
        assert_eq!(code(desk.ask("operator", Step::RollBack { to: started, from })), "REG0044");
    }
    let back = desk.back(started);
    desk.take("operator", back);
    assert_eq!(desk.registry.in_force(), Some(started));
}

#[test]
fn a_roll_back_that_an_earlier_build_recorded_is_read_and_its_signed_bytes_are_the_same() {
    let recorded = format!(r#"{{"do":"roll_back","to":"{}"}}"#, Digest::of(b"before"));
    let step: Step = serde_json::from_str(&recorded).unwrap();
    assert_eq!(step, Step::RollBack { to: Digest::of(b"before"), from: None });
    assert_eq!(serde_json::to_string(&step).unwrap(), recorded);
}

#[test]
fn a_roll_back_passes_over_what_was_replaced_because_it_was_no_good() {
    let mut desk = Desk::open();
    let (bad, mended) = (Digest::of(b"bad"), Digest::of(b"mended"));
    let started = desk.bundle.digest();
    for bundle in [bad, mended] {
        desk.approve(bundle);
        desk.take("approver", Step::Activate { bundle });
    }
    assert_eq!(desk.registry.before(), Some(bad));
    let back = desk.back(started);
    desk.take("operator", back);
    assert_eq!((desk.registry.in_force(), desk.registry.before()), (Some(started), None));
    for passed_over in [bad, mended] {
        assert_eq!(code(desk.ask("operator", desk.back(passed_over))), "REG0017");
    }
}

#[test]
fn what_was_signed_for_a_step_is_signed_by_the_same_bytes_for_ever() {
    let bundle = Digest::of(b"draft");
    let step = Step::Submit { bundle, note: "a note".to_owned(), tests: None };
    let text = String::from_utf8(Desk::open().statement("anna", step).bytes()).unwrap();
    let fields = r#"{"v":1,"ledger":"log+0","id":"00000000000000000000000000000000","at":1700000000000000,"by":"anna","step":{"do":"submit","bundle":"#;
    assert_eq!(text, format!("largesse-step 1\n{fields}\"{bundle}\",\"note\":\"a note\"}}}}"));
}

#[test]
fn an_approval_is_of_numbers_of_somebody_else_and_counts_while_its_approver_may_approve() {
    let mut desk = Desk::open();
    let (bundle, impact) = (Digest::of(b"draft"), Digest::of(b"report"));
    desk.take("author", submit(bundle));
    desk.take("director", Step::Assess { bundle, impact });
    assert_eq!(code(desk.ask("director", Step::Approve { bundle, impact, unchecked: false })), "REG0040");
    desk.take("approver", Step::Approve { bundle, impact, unchecked: false });
    assert_eq!(desk.registry.approved_by_any(bundle, |_| true), Ok(()));
    let key = key_of("approver");
    assert_eq!(desk.registry.approved_by_any(bundle, |approval| approval.key == key), Ok(()));
    assert_eq!(code(desk.registry.approved_by_any(bundle, |_| false)), "REG0041");
    // An approval of an older report does not step in.
    let impact = Digest::of(b"a newer report");
    desk.take("author", Step::Assess { bundle, impact });
    assert_eq!(code(desk.registry.approved_by_any(bundle, |_| true)), "REG0015");
}

#[test]
fn a_newer_report_makes_an_approval_stale() {
    let mut desk = Desk::open();
    let bundle = Digest::of(b"draft");
    desk.approve(bundle);
    assert!(desk.registry.versions()[&bundle].is_approved());
    let impact = Digest::of(b"another report");
    desk.take("author", Step::Assess { bundle, impact });
    assert_eq!(code(desk.ask("approver", Step::Activate { bundle })), "REG0015");
    desk.take("approver", Step::Approve { bundle, impact, unchecked: false });
    desk.take("approver", Step::Activate { bundle });
}

#[test]
fn a_schedule_waits_for_its_time_and_for_a_clock_that_is_not_behind() {
    let mut desk = Desk::open();
    let bundle = Digest::of(b"draft");
    desk.approve(bundle);
    let at = desk.now.plus(5 * HOUR);
    assert_eq!(code(desk.ask("approver", Step::Schedule { bundle, at: desk.now })), "REG0018");
    desk.take("approver", Step::Schedule { bundle, at });
    assert!(desk.registry.due(at.plus(-1)).is_none());
    assert_eq!(desk.registry.due(at).unwrap().bundle, bundle);
    // Somebody took a step later than this clock says it is.
    desk.now = at.plus(HOUR);
    desk.take("operator", Step::Stop { target: Target::Program, note: String::new() });
    assert!(desk.registry.due(at.plus(MINUTE)).is_none());
    let due = desk.registry.due(desk.now).unwrap().clone();
    desk.registry.take_due(&Due { v: VERSION, bundle, scheduled_by: due.by_statement }, desk.now);
    assert_eq!((desk.registry.chosen(), desk.registry.scheduled()), (Some(bundle), None));
}

#[test]
fn switches_are_turned_once_and_stay_on_under_every_bundle() {
    let mut desk = Desk::open();
    let vouchers = Target::Kind(RewardKind::Voucher);
    let stop = |target: Target| Step::Stop { target, note: String::new() };
    let resume = |target: Target| Step::Resume { target, note: String::new() };
    assert_eq!(code(desk.ask("approver", resume(vouchers.clone()))), "REG0020");
    for target in [
        vouchers.clone(),
        Target::Segment("lapsing".to_owned()),
        Target::Reward("cinema".to_owned()),
        Target::Moment("purchase".to_owned()),
    ] {
        desk.take("operator", stop(target.clone()));
        assert_eq!(code(desk.ask("operator", stop(target))), "REG0019");
    }
    let stops = desk.registry.stops(&desk.bundle);
    assert!(!stops.program);
    assert_eq!(
        (stops.segments.count_ones(), stops.moments.count_ones(), stops.rewards.count_ones()),
        (1, 1, 4)
    );
    // Under a bundle that calls the reward otherwise the switch is idle, and it is said which one.
    let renamed: Vec<(&str, String)> = policies::starter::GROCERY
        .iter()
        .map(|(file, text)| (*file, text.replace("cinema", "film-night")))
        .collect();
    let renamed: Vec<(&str, &str)> = renamed.iter().map(|(file, text)| (*file, text.as_str())).collect();
    let renamed = Bundle::from_files(&renamed).unwrap();
    let idle: Vec<_> = desk.registry.idle_stops(&renamed).cloned().collect();
    assert_eq!(idle, [Target::Reward("cinema".to_owned())]);
    assert_eq!(desk.registry.idle_stops(&desk.bundle).count(), 0);
    assert_eq!(code(desk.ask("operator", resume(vouchers.clone()))), "REG0008");
    desk.take("approver", resume(vouchers));
    assert_eq!(desk.registry.stops(&desk.bundle).rewards.count_ones(), 1);
    assert_eq!(code(desk.ask("auditor", stop(Target::Program))), "REG0008");
    // An approver may act in the safe direction too.
    desk.ask("approver", stop(Target::Program)).unwrap();
}

#[test]
fn a_canary_is_approved_first_grows_and_ends_with_whatever_replaces_it() {
    let mut desk = Desk::open();
    let (bundle, other) = (Digest::of(b"draft"), Digest::of(b"other"));
    let canary = |bundle, share| Step::Canary { bundle, share: Ppm(share) };
    desk.take("author", submit(bundle));
    assert_eq!(code(desk.ask("approver", canary(bundle, 50_000))), "REG0015");
    let impact = Digest::of(b"report");
    desk.take("author", Step::Assess { bundle, impact });
    desk.take("approver", Step::Approve { bundle, impact, unchecked: false });
    desk.approve(other);
    assert_eq!(code(desk.ask("operator", canary(bundle, 50_000))), "REG0008");
    for share in [0, 1_000_000, 2_000_000] {
        assert_eq!(code(desk.ask("approver", canary(bundle, share))), "REG0027");
    }
    assert_eq!(code(desk.ask("approver", canary(desk.bundle.digest(), 50_000))), "REG0016");
    let before = desk.registry.clone();
    desk.take("approver", canary(bundle, 50_000));
    assert!(!desk.registry.decides_as(&before));
    desk.take("approver", canary(bundle, 200_000));
    assert_eq!(desk.registry.canary().unwrap().of, Share { bundle, share: Ppm(200_000) });
    assert_eq!(code(desk.ask("approver", canary(other, 50_000))), "REG0028");
    assert_eq!(code(desk.ask("operator", Step::Withdraw { bundle: other })), "REG0029");
    desk.take("operator", Step::Withdraw { bundle });
    assert_eq!(desk.registry.canary(), None);
    for ending in [None, Some(desk.bundle.digest())] {
        let ending = ending.map_or(Step::Activate { bundle: other }, |to| desk.back(to));
        desk.again(bundle);
        desk.take("approver", canary(bundle, 50_000));
        desk.take("director", ending);
        assert_eq!(desk.registry.canary(), None);
    }
    // A schedule that comes due ends it too.
    desk.again(bundle);
    desk.take("approver", canary(bundle, 50_000));
    let due = Due { v: VERSION, bundle: other, scheduled_by: String::new() };
    desk.registry.take_due(&due, desk.now);
    assert_eq!(desk.registry.canary(), None);
}

#[test]
fn a_shadow_changes_nothing_and_a_schedule_can_be_withdrawn() {
    let mut desk = Desk::open();
    let bundle = Digest::of(b"draft");
    assert_eq!(code(desk.ask("author", Step::Shadow { bundle })), "REG0009");
    desk.approve(bundle);
    let before = desk.registry.clone();
    desk.take("author", Step::Shadow { bundle });
    assert_eq!(code(desk.ask("author", Step::Shadow { bundle })), "REG0026");
    assert_eq!(desk.registry.shadows()[&bundle], desk.now);
    desk.take("approver", Step::Schedule { bundle, at: desk.now.plus(HOUR) });
    desk.take("operator", Step::Withdraw { bundle });
    assert_eq!((desk.registry.scheduled(), desk.registry.shadows().len()), (None, 0));
    assert!(desk.registry.decides_as(&before));
}

#[test]
fn a_schedule_keeps_its_approval_and_none_is_made_for_what_is_in_force() {
    let mut desk = Desk::open();
    let (bundle, other) = (Digest::of(b"draft"), Digest::of(b"other"));
    let at = desk.now.plus(5 * HOUR);
    let in_force = Step::Schedule { bundle: desk.bundle.digest(), at };
    assert_eq!(code(desk.ask("approver", in_force)), "REG0016");
    desk.approve(bundle);
    desk.approve(other);
    desk.take("approver", Step::Schedule { bundle, at });
    assert_eq!(code(desk.ask("approver", Step::Schedule { bundle: other, at })), "REG0030");
    assert!(desk.registry.due(at).is_some());
    // A new report would take the approval from under it, unseen.
    let newer = Step::Assess { bundle, impact: Digest::of(b"a newer report") };
    assert_eq!(code(desk.ask("author", newer.clone())), "REG0036");
    assert!(desk.registry.due(at).is_some());
    desk.take("operator", Step::Withdraw { bundle });
    desk.take("author", newer);
    assert_eq!(code(desk.ask("approver", Step::Schedule { bundle, at })), "REG0015");
    // What goes into force again is still preceded by what was before it.
    let before = desk.registry.in_force();
    desk.take("approver", Step::Activate { bundle: other });
    let due = Due { v: VERSION, bundle: other, scheduled_by: String::new() };
    desk.registry.take_due(&due, desk.now);
    assert_eq!(desk.registry.before(), before);
}

#[test]
fn a_rule_stops_what_it_lets_through_and_no_guardrail_can_be_stopped() {
    let mut desk = Desk::open();
    let stop = |id: &str| Step::Stop { target: Target::Rule(id.to_owned()), note: String::new() };
    let reward = desk.bundle.reward_named("cinema").unwrap();
    desk.take("operator", stop("catalog.cinema.eligible.regular"));
    let expected = Stops { rewards: 1 << reward.0, ..Stops::default() };
    assert_eq!(desk.registry.stops(&desk.bundle), expected);
    let guardrails = desk.bundle.rules().iter().filter(|rule| rule.file == "guardrails.toml");
    for guardrail in guardrails {
        assert_eq!(code(desk.ask("operator", stop(&guardrail.id))), "REG0021", "{}", guardrail.id);
    }
    let partner = Target::Partner("Lichtspiel".to_owned());
    assert_eq!(code(desk.ask("operator", Step::Stop { target: partner, note: String::new() })), "REG0021");
}

#[test]
fn a_name_that_is_not_there_finds_those_that_are_near() {
    let desk = Desk::open();
    let why = |target: Target| {
        let stop = Step::Stop { target, note: String::new() };
        desk.ask("operator", stop).unwrap_err().to_string()
    };
    let named = [
        Target::Reward("vouchr-3".to_owned()),
        Target::Segment("lapsin".to_owned()),
        Target::Moment("purchases".to_owned()),
        Target::Rule("catalog.cinema.eligible.regulars".to_owned()),
        Target::Partner("Kino".to_owned()),
    ];
    insta::assert_snapshot!(named.map(why).join("\n"));
}

proptest! {
    /// Whoever the candidate decides about at a share, it decides about at every larger one.
    #[test]
    fn members_keep_their_side_while_the_share_grows(
        candidate in any::<[u8; 32]>(),
        small in 1u32..500_000,
        more in 1u32..499_999,
    ) {
        let at = |share: u32| Share { bundle: Digest(candidate), share: Ppm(share) };
        let members = (0u32..2_000).map(|number| {
            let mut id = [0; 16];
            id.copy_from_slice(&Digest::of(&number.to_be_bytes()).0[..16]);
            MemberId(id)
        });
        let mut taken = 0i64;
        for member in members {
            prop_assert!(!at(small).takes(member) || at(small + more).takes(member));
            taken += i64::from(at(small).takes(member));
        }
        // Six standard deviations of 2,000 draws are at most 135 members.
        prop_assert!((taken - i64::from(small) * 2_000 / 1_000_000).abs() <= 135, "{taken} at {small}");
    }
}

#[test]
fn statements_of_another_form_or_time_are_refused() {
    let desk = Desk::open();
    let back = || desk.statement("operator", desk.back(Digest::of(b"before")));
    assert_eq!(code(desk.judge(&Statement { v: VERSION + 1, ..back() })), "REG0001");
    for off in [-2 * HOUR, 2 * HOUR] {
        assert_eq!(code(desk.judge(&Statement { at: desk.now.plus(off), ..back() })), "REG0007");
    }
    let unknown = Step::Activate { bundle: Digest::of(b"never seen") };
    assert_eq!(code(desk.ask("approver", unknown)), "REG0009");
}

#[test]
fn what_somebody_chose_later_is_not_overtaken_by_a_schedule_from_before() {
    let mut desk = Desk::open();
    let (bundle, other, third) = (Digest::of(b"draft"), Digest::of(b"other"), Digest::of(b"third"));
    [bundle, other, third].into_iter().for_each(|bundle| desk.approve(bundle));
    let (soon, tomorrow) = (desk.now.plus(2 * MINUTE), desk.now.plus(24 * HOUR));
    desk.take("approver", Step::Schedule { bundle, at: soon });
    // No node was there to see its time come.
    desk.now = desk.now.plus(HOUR);
    desk.take("approver", Step::Activate { bundle: other });
    assert_eq!(desk.registry.due(desk.now), None);
    desk.again(bundle);
    desk.take("approver", Step::Schedule { bundle, at: tomorrow });
    desk.again(third);
    desk.take("approver", Step::Activate { bundle: third });
    assert_eq!(desk.registry.scheduled().map(|scheduled| scheduled.at), Some(tomorrow));
    // It was approved as a change of what another policy has replaced since.
    assert_eq!(code(desk.registry.scheduled_stands()), "REG0039");
    assert_eq!(desk.registry.due(tomorrow), None);
    desk.take("operator", Step::Withdraw { bundle });
    desk.again(bundle);
    desk.take("approver", Step::Schedule { bundle, at: tomorrow });
    assert_eq!(desk.registry.due(tomorrow).map(|due| due.bundle), Some(bundle));
    let back = desk.back(other);
    desk.take("operator", back);
    assert_eq!(desk.registry.scheduled(), None, "what was to come rested on what was taken back");
}

#[test]
fn a_key_does_not_approve_its_own_work_under_another_name() {
    let mut desk = Desk::open();
    let (bundle, impact) = (Digest::of(b"draft"), Digest::of(b"report"));
    desk.take("author", submit(bundle));
    desk.take("author", Step::Assess { bundle, impact });
    let statement = desk.statement("approver", Step::Approve { bundle, impact, unchecked: false });
    let asked = |key: &str| {
        let person = Person { name: "approver".to_owned(), roles: vec![Role::Approver], key: key.to_owned() };
        desk.registry.admit(&statement, &person, desk.now, std::slice::from_ref(&desk.bundle))
    };
    assert_eq!(code(asked(&key_of("author"))), "REG0014");
    assert_eq!(asked(&key_of("approver")), Ok(()));
}

#[test]
fn notes_are_one_line_and_a_wrong_clock_does_not_hold_up_a_kill_switch() {
    let mut desk = Desk::open();
    let stop = |note: &str| Step::Stop { target: Target::Program, note: note.to_owned() };
    for note in ["two\nlines", "a \u{1b}[31mcolour", "turned \u{202e}round", &"x".repeat(501)] {
        assert_eq!(code(desk.ask("operator", stop(note))), "REG0037", "{note:?}");
    }
    desk.take("operator", stop(&"x".repeat(500)));
    let mut resume =
        desk.statement("approver", Step::Resume { target: Target::Program, note: String::new() });
    resume.at = desk.now.plus(-90 * MINUTE);
    assert_eq!(code(desk.judge(&resume)), "REG0007");
    desk.take("approver", Step::Resume { target: Target::Program, note: String::new() });
    for (hours, answer) in [(23, Ok(())), (25, Err("REG0007"))] {
        let mut late = desk.statement("operator", stop(""));
        late.at = desk.now.plus(-hours * HOUR);
        assert_eq!(desk.judge(&late).map_err(|refusal| refusal.code()), answer, "{hours} hours");
    }
}

#[test]
fn a_report_that_is_approved_is_one_of_the_bundle_and_of_what_is_in_force() {
    use policies::registry::{Change, IMPACT_VERSION, Impact, report_of};
    let (bundle, in_force) = (Digest::of(b"draft"), Digest::of(b"in force"));
    let none = Change::default();
    let report = Impact {
        v: IMPACT_VERSION,
        from: in_force,
        to: bundle,
        models: Digest::of(b"models"),
        currency: "EUR".to_owned(),
        since: None,
        until: Some(7),
        events: 3,
        erased: 0,
        decisions: none,
        promises: none,
        cost_micros: none,
        net_micros: none,
        exposed_micros: none,
        left_out: none,
        flipped: 0,
        flips: Vec::new(),
        affected: Vec::new(),
        segments: Vec::new(),
        rewards: Vec::new(),
        budgets: Vec::new(),
        reasons: std::collections::BTreeMap::new(),
        guardrails: std::collections::BTreeMap::new(),
    };
    assert_eq!(report_of(&report.text(), bundle, in_force).as_ref(), Ok(&report));
    let refused = |text: &str, bundle, in_force| code(report_of(text, bundle, in_force).map(|_| ()));
    assert_eq!(refused("everything is fine", bundle, in_force), "REG0035");
    let newer = Impact { v: IMPACT_VERSION + 1, ..report.clone() };
    assert_eq!(refused(&newer.text(), bundle, in_force), "REG0035", "a form this build does not know");
    let painted = Impact { currency: "\u{1b}[2JEUR".to_owned(), ..report.clone() };
    assert_eq!(refused(&painted.text(), bundle, in_force), "REG0035", "it would repaint a terminal");
    assert_eq!(refused(&format!(" {}", report.text()), bundle, in_force), "REG0035", "another form");
    assert_eq!(refused(&report.text(), in_force, in_force), "REG0035", "about another bundle");
    assert_eq!(refused(&report.text(), bundle, bundle), "REG0035", "compared with itself");
}
