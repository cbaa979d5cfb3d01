//! Secrets on command lines, hidden in what leaves the sensor: after the match, before anything is written. Rules see all.

use std::{borrow::Cow, sync::Arc};

use regex::{Regex, RegexBuilder, RegexSet, RegexSetBuilder};
use serde_json::Value;

use super::Alert;
use crate::{
    config::RedactConfig,
    event::{Args, Detail, Event, Process},
};

/// What stands in the place of a secret.
const HIDDEN: &str = "<redacted>";
/// Bytes that one compiled expression may take: those of an operator must not take the machine.
const SIZE: usize = 1 << 20;

/// Names whose values are secrets, as flags, variables and keys have them.
const NAMES: &str = r"(?:[a-z0-9]+[-_.])*(?:password|passwd|passphrase|pwd|secret|token|api[-_]?key|apikey|access[-_]?key(?:[-_]?id)?|secret[-_]?key|private[-_]?key|auth[-_]?key|credentials?)(?:[-_.][a-z0-9]+)*";

/// What is hidden without being asked for. Each has a group `secret`, or is one as a whole.
fn builtin() -> Vec<String> {
    vec![
        // --password=x, PGPASSWORD=x, "token": "x"
        format!(r#"(?i)(?:^|[\s;&|?,{{'"-]){NAMES}["']?\s*[=:]\s*["']?(?P<secret>[^\s"'&;|,]+)"#),
        // --password x, -password x
        format!(r#"(?i)(?:^|\s)--?{NAMES}\s+["']?(?P<secret>[^\s"'&;|-][^\s"'&;|]*)"#),
        r"(?i)\b(?:PGPASSWORD|MYSQL_PWD|SSHPASS|REDISCLI_AUTH)=(?P<secret>[^\s;]+)".to_owned(),
        // Authorization: Bearer x
        r#"(?i)\bauthorization\s*[:=]\s*(?:(?:bearer|basic|token|digest|apikey|negotiate)\s+)?(?P<secret>[^\s"']+)"#.to_owned(),
        r"(?i)\bbearer\s+(?P<secret>[a-z0-9._~+/=-]{8,})".to_owned(),
        // https://user:x@host
        r#"[a-zA-Z][a-zA-Z0-9+.-]*://[^/\s:@"']*:(?P<secret>[^/\s@"']+)@"#.to_owned(),
        // curl -u user:x
        r#"(?:^|\s)(?:-u|--user)[ =]?[^\s:"']+:(?P<secret>[^\s"']+)"#.to_owned(),
        // mysql -px
        r"\b(?:mysql|mysqldump|mysqladmin|mariadb|mariadb-dump)\b[^|;]*?\s-p(?P<secret>[^\s-][^\s]*)".to_owned(),
        r"\bsshpass\s+-p\s*(?P<secret>\S+)".to_owned(),
        // What is a secret by its form: AWS, GitHub, GitLab, Slack, Google, Stripe, JSON web tokens, PEM.
        r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b".to_owned(),
        r"\bgh[pousr]_[A-Za-z0-9]{20,}\b|\bgithub_pat_[A-Za-z0-9_]{20,}\b|\bglpat-[A-Za-z0-9_-]{16,}".to_owned(),
        r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}|\bAIza[0-9A-Za-z_-]{30,}|\b[rs]k_(?:live|test)_[0-9a-zA-Z]{16,}".to_owned(),
        r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*".to_owned(),
        r"-----BEGIN [A-Z ]*PRIVATE KEY-----(?P<secret>.*)".to_owned(),
    ]
}

/// Hides secrets.
#[derive(Clone, Debug)]
pub struct Redactor {
    /// All expressions at once: most texts have nothing of any.
    any: RegexSet,
    each: Vec<Regex>,
}

/// An expression of the configuration that is none.
#[derive(Debug, thiserror::Error)]
#[error("`{pattern}`: {error}")]
pub struct PatternError {
    pattern: String,
    error: regex::Error,
}

impl Redactor {
    /// As the configuration says.
    ///
    /// # Errors
    /// Where one of its expressions is none, or too large.
    pub fn new(config: &RedactConfig) -> Result<Self, PatternError> {
        let mut patterns = if config.builtin { builtin() } else { Vec::new() };
        patterns.extend(config.patterns.iter().cloned());
        let compile = |pattern: &String| RegexBuilder::new(pattern).size_limit(SIZE).build();
        let each = patterns.iter().map(|pattern| {
            compile(pattern).map_err(|error| PatternError { pattern: pattern.clone(), error })
        });
        let each = each.collect::<Result<Vec<_>, _>>()?;
        let any = RegexSetBuilder::new(&patterns).size_limit(SIZE * 4).build();
        let any = any.map_err(|error| PatternError { pattern: "all of them together".to_owned(), error })?;
        Ok(Self { any, each })
    }

    /// The text without its secrets.
    #[must_use]
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let found = self.any.matches(text);
        let mut hidden = Cow::Borrowed(text);
        for pattern in found.iter().filter_map(|at| self.each.get(at)) {
            hidden = Cow::Owned(hide(pattern, &hidden));
        }
        hidden
    }

    /// Hides what an alert would tell.
    pub fn alert(&self, alert: &mut Alert) {
        self.string(&mut alert.output);
        alert.output_fields.values_mut().for_each(|value| self.value(value));
        alert.over_time.by.values_mut().for_each(|text| self.string(text));
        self.process(&mut alert.process.process);
    }

    /// Hides what an event would tell.
    pub fn event(&self, event: &mut Event) {
        self.process(&mut event.process);
        if let Detail::Exec(exec) = &mut event.detail
            && let Some(args) = self.args(&exec.attempted_args)
        {
            exec.attempted_args = args;
        }
    }

    fn process(&self, process: &mut Arc<Process>) {
        let args = self.args(&process.args);
        let env = process.env.as_ref().and_then(|env| self.args(env));
        if args.is_none() && env.is_none() {
            return;
        }
        let mut shown = Process::clone(process);
        shown.args = args.unwrap_or(shown.args);
        shown.env = env.or(shown.env);
        *process = Arc::new(shown);
    }

    /// Arguments are looked at one by one and, for a flag with its value behind it, as one line.
    fn args(&self, args: &Args) -> Option<Args> {
        let texts: Vec<String> = args.iter().map(|arg| String::from_utf8_lossy(arg).into_owned()).collect();
        let line = texts.join(" ");
        if !self.any.is_match(&line) {
            return None;
        }
        let whole = self.secrets(&line);
        let mut at = 0;
        let hidden = texts.iter().map(|text| {
            let range = at..at + text.len();
            at = range.end + 1;
            let mut shown = String::new();
            let mut from = range.start;
            for secret in whole.iter().filter(|secret| secret.start < range.end && secret.end > range.start) {
                let start = secret.start.clamp(from, range.end);
                shown.push_str(line.get(from..start).unwrap_or_default());
                shown.push_str(HIDDEN);
                from = secret.end.clamp(from, range.end);
            }
            shown.push_str(line.get(from..range.end).unwrap_or_default());
            shown
        });
        Some(args.replaced(hidden))
    }

    /// Where secrets are, in order and apart.
    fn secrets(&self, line: &str) -> Vec<std::ops::Range<usize>> {
        let mut all: Vec<_> = self
            .any
            .matches(line)
            .iter()
            .filter_map(|at| self.each.get(at))
            .flat_map(|pattern| pattern.captures_iter(line).filter_map(|found| Some(secret(&found)?.range())))
            .collect();
        all.sort_by_key(|range| (range.start, range.end));
        let mut apart: Vec<std::ops::Range<usize>> = Vec::new();
        for range in all {
            match apart.last_mut() {
                Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
                _ => apart.push(range),
            }
        }
        apart
    }

    fn string(&self, text: &mut String) {
        if let Cow::Owned(hidden) = self.text(text) {
            *text = hidden;
        }
    }

    fn value(&self, value: &mut Value) {
        match value {
            Value::String(text) => self.string(text),
            Value::Array(values) => values.iter_mut().for_each(|value| self.value(value)),
            Value::Object(values) => values.values_mut().for_each(|value| self.value(value)),
            _ => {}
        }
    }
}

fn secret<'t>(found: &regex::Captures<'t>) -> Option<regex::Match<'t>> {
    found.name("secret").or_else(|| found.get(0)).filter(|secret| !secret.is_empty())
}

fn hide(pattern: &Regex, text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut from = 0;
    for secret in pattern.captures_iter(text).filter_map(|found| secret(&found)) {
        shown.push_str(text.get(from..secret.start()).unwrap_or_default());
        shown.push_str(HIDDEN);
        from = secret.end();
    }
    shown.push_str(text.get(from..).unwrap_or_default());
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redactor() -> Redactor {
        Redactor::new(&RedactConfig::default()).unwrap()
    }

    #[test]
    fn secrets_of_every_known_form_are_hidden() {
        let redactor = redactor();
        for text in [
            "mysqldump --password=hunter2secret db",
            "tool --api-key hunter2secret run",
            "tool -token hunter2secret",
            "env PGPASSWORD=hunter2secret psql",
            "env MY_APP_TOKEN=hunter2secret ./run",
            "curl -H 'Authorization: Bearer hunter2secret' http://x",
            "curl -H Authorization:hunter2secret",
            "git clone https://me:hunter2secret@host/x.git",
            "curl -u me:hunter2secret http://x",
            "mysql -uroot -phunter2secret db",
            "sshpass -p hunter2secret ssh x",
            "curl -d {\"client_secret\":\"hunter2secret\"}",
            "curl http://x/?access_token=hunter2secret&a=b",
        ] {
            let shown = redactor.text(text);
            assert!(!shown.contains("hunter2secret") && shown.contains(HIDDEN), "{text} → {shown}");
        }
        for text in
            ["AKIAIOSFODNN7EXAMPLE", "ghp_abcdefghijklmnopqrstuvwxyz0123456789", "xoxb-1234567890-abcdef"]
        {
            assert_eq!(redactor.text(&format!("run {text} now")), format!("run {HIDDEN} now"));
        }
    }

    #[test]
    fn what_is_no_secret_stays() {
        let redactor = redactor();
        for text in [
            "cat /etc/passwd",
            "ls -la /var/lib/tokens",
            "useradd --shell /bin/sh bob",
            "grep -r password_file .",
            "command=kubectl get secrets -n kube-system",
            "curl -u me http://host:8080/x",
            "mysql -u root -p db",
        ] {
            assert_eq!(redactor.text(text), text);
        }
    }

    #[test]
    fn a_flag_and_its_value_are_two_arguments() {
        let args = |list: &[&str]| Args::from_list(list.iter().map(|arg| arg.as_bytes()));
        let hidden = redactor()
            .args(&args(&["tool", "--password", "hunter2secret", "-v", "--token=hunter2secret"]))
            .unwrap();
        let shown: Vec<_> = hidden.iter().map(|arg| String::from_utf8_lossy(arg).into_owned()).collect();
        assert_eq!(shown, ["tool", "--password", HIDDEN, "-v", &format!("--token={HIDDEN}")]);
        assert!(redactor().args(&args(&["cat", "/etc/passwd"])).is_none());
    }

    #[test]
    fn an_operator_adds_expressions() {
        let config = |pattern: &str| RedactConfig { builtin: false, patterns: vec![pattern.to_owned()] };
        let own = Redactor::new(&config(r"ticket=(?P<secret>\d+)")).unwrap();
        assert_eq!(own.text("ticket=12345 --password=x"), "ticket=<redacted> --password=x");
        assert!(Redactor::new(&config("(")).unwrap_err().to_string().starts_with("`(`: "));
        assert!(Redactor::new(&config("(a{1000}){1000}")).is_err());
    }
}
