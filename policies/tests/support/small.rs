//! Small bundles written from parts, for tests that look at every member there could be.

use policies::{Bundle, Problems};

/// What a small bundle says; conditions are texts of the condition language.
#[derive(Clone, Debug, Default)]
pub struct Small {
    /// Conditions per segment, and its lever on vouchers.
    pub segments: Vec<(Vec<String>, i64)>,
    /// Trigger, conditions and rewards (positions) per moment.
    pub moments: Vec<(String, Vec<String>, Vec<usize>)>,
    /// Kind, cost and conditions per reward.
    pub rewards: Vec<(String, String, Vec<String>)>,
    /// Action and conditions per rule.
    pub rules: Vec<(String, Vec<String>)>,
    pub max_discount: Option<String>,
    /// Most a promise may cost, of segments that say so, by position.
    pub ceilings: Vec<(usize, String)>,
    /// Exclusive rewards, by position.
    pub exclusive: Vec<usize>,
    /// Share and withheld rewards (positions) per variant.
    pub variants: Vec<(String, Vec<usize>)>,
    /// Quiet hours at the tills.
    pub quiet: Option<(u8, u8)>,
}

fn conditions(key: &str, list: &[String]) -> String {
    let items: Vec<String> = list
        .iter()
        .enumerate()
        .map(|(at, expr)| format!("  {{ id = \"c{at}\", expr = '''{expr}''' }},\n"))
        .collect();
    if items.is_empty() { String::new() } else { format!("{key} = [\n{}]\n", items.concat()) }
}

impl Small {
    /// The six files; ids are `s0`, `m0`, `r0`, `g0` and so on, and `c0` within a list.
    pub fn files(&self) -> [(&'static str, String); 6] {
        let segments = self.segments.iter().enumerate().map(|(at, (when, lever))| {
            let when = conditions("when", when);
            let ceilings = self.ceilings.iter().filter(|(segment, _)| *segment == at);
            let ceiling: String = ceilings.map(|(_, most)| format!("ceiling = \"{most}\"\n")).collect();
            format!(
                "[[segment]]\nid = \"s{at}\"\nname = \"S\"\nautonomy = \"auto\"\n{ceiling}{when}levers = {{ kinds = {{ voucher = {lever} }} }}\n"
            )
        });
        let moments = self.moments.iter().enumerate().map(|(at, (trigger, when, rewards))| {
            let rewards: Vec<String> = rewards.iter().map(|reward| format!("\"r{reward}\"")).collect();
            let (when, rewards) = (conditions("when", when), rewards.join(", "));
            format!(
                "[[moment]]\nid = \"m{at}\"\nlevel = \"L3\"\ntrigger = {trigger}\n{when}rewards = [{rewards}]\nprovisional = \"deny\"\n"
            )
        });
        let rewards = self.rewards.iter().enumerate().map(|(at, (kind, cost, eligible))| {
            let eligible = conditions("eligible", eligible);
            let exclusive = if self.exclusive.contains(&at) { "exclusive = true\n" } else { "" };
            format!(
                "[[reward]]\nid = \"r{at}\"\nname = \"R\"\nkind = \"{kind}\"\ncost = \"{cost}\"\nvalid_days = 7\ntouchpoints = [\"pos\", \"app\", \"batch\"]\n{exclusive}{eligible}prior = {{ default = \"5 %\", source = \"test\" }}\n"
            )
        });
        let rules = self.rules.iter().enumerate().map(|(at, (action, when))| {
            let when = conditions("when", when);
            format!("[[rule]]\nid = \"g{at}\"\naction = \"{action}\"\nreason = \"No.\"\n{when}")
        });
        let discount = self.max_discount.iter().map(|share| format!("max_discount = \"{share}\"\n"));
        let quiet = self
            .quiet
            .map(|(from, to)| format!("[quiet_hours]\nfrom = {from}\nto = {to}\ntouchpoints = [\"pos\"]\n"));
        let guardrails = format!(
            "minors = \"exclude\"\ncool_down_hours = 0\n{}{}[consent]\npurposes = [\"personalised_marketing\", \"profiling\"]\n[suppress]\ncomplaint_days = 0\nrefund_days = 0\nsensitive_days = 0\n[[member_cap]]\nid = \"few\"\nlimit = 4\nwindow_days = 28\n{}",
            discount.collect::<String>(),
            quiet.unwrap_or_default(),
            rules.collect::<String>()
        );
        let program = "name = \"Small\"\ncurrency = \"USD\"\ntimezone = \"UTC\"\nmembers = \"enrol\"\n[consent]\nat_enrolment = []\nbasis = \"test\"\n[budget]\nlimit = \"100.00\"\nperiod_days = 7\n";
        let variants = self.variants.iter().enumerate().map(|(at, (share, withheld))| {
            let withheld: Vec<String> = withheld.iter().map(|reward| format!("\"r{reward}\"")).collect();
            format!(
                "[[variant]]\nid = \"v{at}\"\nshare = \"{share}\"\nwithhold = [{}]\n",
                withheld.join(", ")
            )
        });
        let experiments = format!(
            "salt = \"x\"\n[holdout]\nshare = \"5 %\"\nsticky = \"always\"\n[exploration]\nshare = \"1 %\"\n{}",
            variants.collect::<String>()
        );
        [
            ("program.toml", program.to_owned()),
            ("segments.toml", segments.collect()),
            ("catalog.toml", rewards.collect()),
            ("moments.toml", moments.collect()),
            ("guardrails.toml", guardrails),
            ("experiments.toml", experiments),
        ]
    }

    pub fn bundle(&self) -> Result<Bundle, Problems> {
        let files = self.files();
        let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
        Bundle::from_files(&files)
    }
}
