//! Cluster files that are right and wrong, and what is said of them.

use super::*;

const FILE: &str = r#"cluster = "demo"
[[nodes]]
name = "a"
id = 1
peer = "127.0.0.1:7101"
client = "127.0.0.1:7201"
http = "127.0.0.1:7301"
[[nodes]]
name = "b"
id = 2
peer = "127.0.0.1:7102"
client = "127.0.0.1:7202"
http = "127.0.0.1:7302"
[[nodes]]
name = "c"
id = 3
peer = "127.0.0.1:7103"
client = "127.0.0.1:7203"
http = "127.0.0.1:7303"
[[queue_managers]]
name = "ha.queue.manager"
id = 1
[directories]
log = "/tmp/{node}/log"
data = "/tmp/{node}/data"
"#;

fn refusal(text: &str) -> String {
    Config::parse(text, Some("a")).unwrap_err().text
}

#[test]
fn a_file_means_what_it_says() {
    let config = Config::parse(FILE, Some("b")).unwrap();
    assert_eq!(config.node, NodeId(2));
    assert_eq!(config.log_directory, Path::new("/tmp/b/log"));
    assert_eq!(config.timing.election, Duration::from_millis(1250));
    let first = config.first_snapshot(QueueManagerId(1));
    assert_eq!(first.membership.voters.len(), 3);
    assert_eq!(first.membership.nodes[&NodeId(3)].client_address, "127.0.0.1:7203");
    assert!(config.standing_warnings().is_empty());
}

#[test]
fn relative_paths_begin_where_the_file_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("cluster.toml");
    let text = FILE.replace("\"/tmp/{node}/log\"", "\"log-{node}\"");
    let tls =
        "[tls]\nca = \"certs/ca.pem\"\ncertificate = \"/etc/node.pem\"\nkey = \"certs/node-{node}.key\"\n";
    std::fs::write(&path, text + tls).unwrap();
    let config = Config::load(&path, Some("a"), &[]).unwrap();
    assert_eq!(config.log_directory, directory.path().join("log-a"));
    assert_eq!(config.data_directory, Path::new("/tmp/a/data"));
    let tls = config.tls.unwrap();
    assert_eq!(tls.ca, directory.path().join("certs/ca.pem"));
    assert_eq!(tls.certificate, Path::new("/etc/node.pem"));
    assert_eq!(tls.key, directory.path().join("certs/node-a.key"));
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let text = Config::load(Path::new("/no/such.toml"), None, &[]).unwrap_err().text;
    assert!(text.starts_with("/no/such.toml: No such file") && text.contains("--config"), "{text}");
}

#[test]
fn a_refusal_names_line_and_key_and_what_to_write() {
    let unknown = refusal(&FILE.replace("id = 2", "id = 2\ncolour = \"red\""));
    assert!(unknown.contains("line 11") && unknown.contains("colour"), "{unknown}");
    let address = refusal(&FILE.replace("127.0.0.1:7102", "7102"));
    assert!(address.contains("line 11: peer = \"7102\": write it as host:port"), "{address}");
    let kind = refusal(&FILE.replace("id = 2", "id = \"two\""));
    assert!(kind.contains("line 10") && kind.contains("the text \"two\", expected a whole number"), "{kind}");
    let list = refusal(&FILE.replace("[[queue_managers]]", "[queue_managers]"));
    assert!(list.contains("a list, like [[nodes]]"), "{list}");
    let missing = refusal(&FILE.replace("cluster = \"demo\"", ""));
    assert!(missing.contains("missing key `cluster`"), "{missing}");
    let size = refusal(&format!("{FILE}[limits]\nwindow_bytes = \"lots\"\n"));
    assert!(size.contains("64MiB"), "{size}");
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let text = FILE.replace("id = 2", "id = 1").replace("name = \"c\"", "name = \"a\"");
    let text = refusal(&text);
    assert_eq!(text.lines().count(), 2, "{text}");
    let text = refusal(&FILE.replace("127.0.0.1:7102", "127.0.0.1:7101"));
    assert!(text.contains("is also peer of node a"), "{text}");
}

#[test]
fn an_address_to_listen_on_is_none_that_others_can_reach() {
    let text = refusal(&FILE.replace("client = \"127.0.0.1:7201\"", "client = \"0.0.0.0:7201\""));
    assert!(text.contains("into client_listen"), "{text}");
}

#[test]
fn the_node_must_be_one_of_the_file() {
    let text = Config::parse(FILE, Some("z")).unwrap_err().text;
    assert!(text.contains("--node z") && text.contains("a, b, c"), "{text}");
    let text = Config::parse(FILE, None).unwrap_err().text;
    assert!(text.contains("which node is this?"), "{text}");
}

#[test]
fn without_tls_only_loopback_listens_unless_it_is_asked_for() {
    let open = FILE.replace("client = \"127.0.0.1:7201\"", "client = \"192.0.2.1:7201\"");
    let text = refusal(&open);
    assert!(text.contains("client 192.0.2.1:7201 is not loopback"), "{text}");
    let insecure = Config::parse(&format!("{open}[tls]\ninsecure = true\n"), Some("a")).unwrap();
    assert!(insecure.standing_warnings()[0].contains("client 192.0.2.1:7201 without TLS"));
}

#[test]
fn clients_show_a_certificate_unless_the_file_says_otherwise() {
    let tls = "[tls]\nca = \"c\"\ncertificate = \"n\"\nkey = \"k\"\n";
    let config = Config::parse(&format!("{FILE}{tls}"), Some("a")).unwrap();
    assert!(config.tls.as_ref().unwrap().clients_required);
    assert!(config.standing_warnings().is_empty());
    let insecure = Config::parse(&format!("{FILE}{tls}insecure = true\n"), Some("a")).unwrap();
    assert!(insecure.standing_warnings()[0].contains("shows no certificate is believed who it is"));

    let optional = format!("{FILE}{tls}client_certificates = \"optional\"\n");
    let config = Config::parse(&optional, Some("a")).unwrap();
    assert!(!config.tls.as_ref().unwrap().clients_required);
    let warnings = config.standing_warnings();
    assert!(warnings[0].contains("may do everything"), "{warnings:?}");
}

#[test]
fn a_wrong_setting_is_named_and_not_a_line_that_nobody_wrote() {
    let set = |settings: &[&str]| {
        let settings: Vec<String> = settings.iter().map(|setting| (*setting).to_owned()).collect();
        Config::parse_with(FILE, Some("a"), &settings).map_err(|error| error.text)
    };
    assert_eq!(set(&["limits.sessions=7"]).unwrap().limits.sessions, 7);
    for (setting, word) in [
        ("limits.sessions=many", "the text \"many\", expected a whole number"),
        ("limits.sessions=0", "sessions = 0"),
        ("limits.colour=red", "there is no key `colour`"),
        ("timing.heartbeat_ms=500", "four heartbeats"),
        ("cluster.name=x", "there is no table before name"),
        ("limits.sessions", "key=value"),
    ] {
        let text = set(&["timing.stop_ms=500", setting]).unwrap_err();
        assert!(text.starts_with(&format!("--set {setting}: ")), "{text}");
        assert!(text.contains(word) && !text.contains("line "), "{text}");
    }
}

#[test]
fn timing_leaves_room_for_lost_heartbeats() {
    let text = refusal(&format!("{FILE}[timing]\nheartbeat_ms = 500\n"));
    assert!(text.contains("four heartbeats"), "{text}");
    let fast = Config::parse(&format!("{FILE}[timing]\nprofile = \"fast\"\n"), Some("a")).unwrap();
    assert_eq!(fast.timing.heartbeat, Duration::from_millis(50));
}

#[test]
fn too_few_voters_and_an_even_number_are_warned_of() {
    let said: Vec<usize> = (1..=7).filter(|voters| voters_warning(*voters).is_some()).collect();
    assert_eq!(said, [1, 2, 4, 6]);
}

#[test]
fn the_rest_api_is_off_unless_it_has_an_address_and_follows_the_rules_of_the_others() {
    assert!(Config::parse(FILE, Some("a")).unwrap().this().rest.is_none());
    let with = |lines: &str| FILE.replacen("id = 1\n", &format!("id = 1\n{lines}\n"), 1);
    let config = Config::parse(&with("rest = \"127.0.0.1:9443\""), Some("a")).unwrap();
    let rest = config.this().rest.clone().unwrap();
    assert_eq!((rest.address.as_str(), rest.listen.as_str()), ("127.0.0.1:9443", "127.0.0.1:9443"));

    let open = with("rest = \"10.0.0.1:9443\"\nrest_listen = \"0.0.0.0:9443\"");
    assert!(refusal(&open).contains("rest 0.0.0.0:9443 is not loopback"), "{}", refusal(&open));
    let accepted = Config::parse(&format!("{open}[tls]\ninsecure = true\n"), Some("a")).unwrap();
    let warnings = accepted.standing_warnings();
    assert!(warnings.iter().any(|text| text.contains("rest 0.0.0.0:9443 without TLS")), "{warnings:?}");
    let alone = refusal(&with("rest_listen = \"0.0.0.0:9443\""));
    assert!(alone.contains("line 5: rest_listen without rest"), "{alone}");
    let taken = refusal(&with("rest = \"127.0.0.1:7201\""));
    assert!(taken.contains("is also"), "{taken}");
}
