//! `certs init|add`: a small certificate authority for those who have none.

use std::{
    fs,
    io::Write,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType,
};
use serde_json::json;
use trimaran_proto::cluster::{check_name, twice};

use crate::{
    arguments::{CertsCommand, Global, NamedHosts},
    cluster::check_nodes,
    output::{Failure, Outcome},
    say,
};

/// The authority lasts ten times as long, and years have four digits.
const DAYS_MAX: u32 = 36_500;

const AUTHORITY: &str = "Trimaran authority of cluster ";

pub fn run(global: &Global, command: CertsCommand) -> Outcome {
    let written = match command {
        CertsCommand::Init { cluster, nodes, users, out, days } => {
            init(&cluster, &nodes, &users, &out, days)?
        }
        CertsCommand::Add { dir, nodes, users, days } => {
            if nodes.is_empty() && users.is_empty() {
                return Err(Failure::Usage("name the nodes or users to make certificates for".to_string()));
            }
            add(&nodes, &users, &dir, days)?
        }
    };
    for (path, what) in written {
        if global.json {
            say!("{}", json!({ "file": path, "what": what }));
        } else {
            say!("{:32} {what}", path.display().to_string());
        }
    }
    Ok(())
}

/// What was written, and what it is.
type Written = Vec<(PathBuf, String)>;

fn init(
    cluster: &str,
    nodes: &[NamedHosts],
    users: &[String],
    directory: &Path,
    days: u32,
) -> Result<Written, Failure> {
    check_name("cluster", cluster).map_err(Failure::Usage)?;
    check(nodes, users, days)?;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(|error| Failure::local(directory.display(), error))?;
    let mut files = vec![directory.join("ca.pem"), directory.join("ca.key")];
    files.extend(leaf_files(nodes, users, directory));
    refuse_to_overwrite(&files)?;

    let mut params = authority_params(cluster);
    set_validity(&mut params, days.saturating_mul(10));
    let key = new_key()?;
    let certificate =
        params.self_signed(&key).map_err(|error| Failure::local("make the authority", error))?;
    write(&files[0], certificate.pem().as_bytes(), 0o644)?;
    write(&files[1], key.serialize_pem().as_bytes(), 0o600)?;
    let mut written = vec![
        (files[0].clone(), "the authority; every node and client needs it".to_string()),
        (files[1].clone(), "its private key; keep it where no node is".to_string()),
    ];
    let issuer = Issuer::new(params, key);
    written.extend(issue(cluster, nodes, users, directory, days, &issuer)?);
    Ok(written)
}

fn add(nodes: &[NamedHosts], users: &[String], directory: &Path, days: u32) -> Result<Written, Failure> {
    check(nodes, users, days)?;
    let read = |name: &str| {
        let path = directory.join(name);
        fs::read_to_string(&path).map_err(|error| Failure::local(path.display(), error))
    };
    let key = KeyPair::from_pem(&read("ca.key")?).map_err(|error| Failure::local("ca.key", error))?;
    let certificate = read("ca.pem")?;
    let cluster = cluster_of(&certificate).ok_or_else(|| {
        Failure::Local(format!(
            "{} was not made by `trimaran certs init`: it does not name its cluster",
            directory.join("ca.pem").display()
        ))
    })?;
    refuse_to_overwrite(&leaf_files(nodes, users, directory))?;
    // What is signed refers to the authority by name and key, and both are the same as at the beginning.
    let issuer = Issuer::new(authority_params(&cluster), key);
    issue(&cluster, nodes, users, directory, days, &issuer)
}

fn authority_params(cluster: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name = name(&format!("{AUTHORITY}{cluster}"));
    params
}

/// The authority's name ends with the cluster's. It is found in the certificate's bytes, where names stand as they are.
fn cluster_of(pem: &str) -> Option<String> {
    use rustls_pki_types::{CertificateDer, pem::PemObject};
    let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).ok()?;
    let bytes = certificate.as_ref();
    let at = bytes.windows(AUTHORITY.len()).position(|window| window == AUTHORITY.as_bytes())?;
    // DER writes the length of a string before it: one byte below 128, else 0x81 and one byte.
    let length = usize::from(*bytes.get(at.checked_sub(1)?)?);
    let name = bytes.get(at + AUTHORITY.len()..at + length)?;
    String::from_utf8(name.to_vec()).ok().filter(|name| !name.is_empty())
}

fn issue(
    cluster: &str,
    nodes: &[NamedHosts],
    users: &[String],
    directory: &Path,
    days: u32,
    issuer: &Issuer<'_, KeyPair>,
) -> Result<Written, Failure> {
    let mut written = Vec::new();
    for node in nodes {
        let mut names = vec![uri(&format!("trimaran://{cluster}/node/{}", node.name))?];
        for host in &node.hosts {
            names.push(match host.parse() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => SanType::DnsName(
                    host.as_str()
                        .try_into()
                        .map_err(|error| Failure::local(format!("host {host}"), error))?,
                ),
            });
        }
        let hosts = node.hosts.join(", ");
        let stem = format!("node-{}", node.name);
        let paths = leaf(&stem, &node.name, names, directory, days, issuer)?;
        written.push((paths.0, format!("node {} at {hosts}", node.name)));
        written.push((paths.1, format!("its private key; for node {} only", node.name)));
    }
    for user in users {
        let names = vec![uri(&format!("trimaran://{cluster}/user/{user}"))?];
        let paths = leaf(&format!("user-{user}"), user, names, directory, days, issuer)?;
        written.push((paths.0, format!("user {user}")));
        written.push((paths.1, format!("private key of {user}")));
    }
    Ok(written)
}

fn leaf(
    stem: &str,
    common_name: &str,
    names: Vec<SanType>,
    directory: &Path,
    days: u32,
    issuer: &Issuer<'_, KeyPair>,
) -> Result<(PathBuf, PathBuf), Failure> {
    let failed = |error: rcgen::Error| Failure::local(format!("make the certificate {stem}"), error);
    let mut params = CertificateParams::default();
    params.distinguished_name = name(common_name);
    params.subject_alt_names = names;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    // A node is a server to clients and a client to its peers.
    params.extended_key_usages = match stem.starts_with("node-") {
        true => vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth],
        false => vec![ExtendedKeyUsagePurpose::ClientAuth],
    };
    params.use_authority_key_identifier_extension = true;
    set_validity(&mut params, days);
    let key = new_key()?;
    let certificate = params.signed_by(&key, issuer).map_err(failed)?;
    let paths = (directory.join(format!("{stem}.pem")), directory.join(format!("{stem}.key")));
    write(&paths.0, certificate.pem().as_bytes(), 0o644)?;
    write(&paths.1, key.serialize_pem().as_bytes(), 0o600)?;
    Ok(paths)
}

fn leaf_files(nodes: &[NamedHosts], users: &[String], directory: &Path) -> Vec<PathBuf> {
    let stems = nodes
        .iter()
        .map(|node| format!("node-{}", node.name))
        .chain(users.iter().map(|user| format!("user-{user}")));
    stems
        .flat_map(|stem| [directory.join(format!("{stem}.pem")), directory.join(format!("{stem}.key"))])
        .collect()
}

/// Before anything is written: half of the files help nobody.
fn check(nodes: &[NamedHosts], users: &[String], days: u32) -> Outcome {
    check_nodes(nodes)?;
    check_users(users)?;
    if let Some(user) = twice(users.iter().map(String::as_str)) {
        return Err(Failure::Usage(format!("user {user} is there twice")));
    }
    match days > DAYS_MAX {
        true => {
            Err(Failure::Usage(format!("--days {days}: use at most {DAYS_MAX}, which is a hundred years")))
        }
        false => Ok(()),
    }
}

fn check_users(users: &[String]) -> Outcome {
    for user in users {
        let good = !user.is_empty()
            && user.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.@".contains(&byte));
        if !good {
            return Err(Failure::Usage(format!(
                "\"{user}\" is not a name for a user; use letters, digits, - _ . @"
            )));
        }
    }
    Ok(())
}

/// Before anything is written: half an authority helps nobody.
fn refuse_to_overwrite(files: &[PathBuf]) -> Outcome {
    match files.iter().find(|file| file.exists()) {
        None => Ok(()),
        Some(file) => Err(Failure::Local(format!(
            "{} exists; nothing is overwritten, move it away or choose another directory",
            file.display()
        ))),
    }
}

fn write(path: &Path, contents: &[u8], mode: u32) -> Outcome {
    let written = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .and_then(|mut file| file.write_all(contents));
    written.map_err(|error| Failure::local(path.display(), error))
}

fn new_key() -> Result<KeyPair, Failure> {
    KeyPair::generate().map_err(|error| Failure::local("make a key", error))
}

fn name(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name
}

fn uri(text: &str) -> Result<SanType, Failure> {
    Ok(SanType::URI(text.try_into().map_err(|error| Failure::local(text, error))?))
}

/// From yesterday, for clocks that are behind, until so many days from now.
fn set_validity(params: &mut CertificateParams, days: u32) {
    let today = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_secs() / 86_400) as i64;
    let date = |days: i64| {
        let text = crate::output::timestamp(days * 86_400_000);
        let number = |from: usize, upto: usize| text[from..upto].parse::<i32>().expect("a date has digits");
        rcgen::date_time_ymd(number(0, 4), number(5, 7) as u8, number(8, 10) as u8)
    };
    params.not_before = date(today - 1);
    params.not_after = date((today + i64::from(days)).min(2_900_000));
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn nodes() -> Vec<NamedHosts> {
        vec![NamedHosts { name: "a".into(), hosts: vec!["127.0.0.1".into(), "localhost".into()] }]
    }

    #[test]
    fn what_cannot_be_is_refused_before_anything_is_written() {
        let directory = tempfile::tempdir().unwrap();
        let out = directory.path().join("certs");
        let named = |name: &str, host: &str| NamedHosts { name: name.into(), hosts: vec![host.into()] };
        let joe = || vec!["joe".to_string()];
        let (twice, all) = ([named("a", "h"), named("a", "h")], [named("a", "0.0.0.0")]);
        assert!(init("bad name", &nodes(), &joe(), &out, 30).is_err());
        assert!(
            init("shop", &twice, &joe(), &out, 30).is_err() && init("shop", &all, &joe(), &out, 30).is_err()
        );
        assert!(init("shop", &nodes(), &[joe(), joe()].concat(), &out, 30).is_err());
        assert!(init("shop", &nodes(), &joe(), &out, 999_999_999).is_err());
        assert!(!out.exists());
    }

    #[test]
    fn an_authority_is_made_once_and_can_issue_later() {
        let directory = tempfile::tempdir().unwrap();
        let out = directory.path().join("certs");
        init("shop", &nodes(), &["joe".into()], &out, 30).unwrap();
        for (file, mode) in
            [("ca.key", 0o600), ("node-a.key", 0o600), ("user-joe.key", 0o600), ("node-a.pem", 0o644)]
        {
            let found = fs::metadata(out.join(file)).unwrap().permissions().mode() & 0o777;
            assert_eq!(found, mode, "{file}");
        }
        let again = init("shop", &nodes(), &[], &out, 30).unwrap_err();
        assert_eq!(again.exit_code(), 5);

        let long = format!("cluster-{}", "x".repeat(40));
        for cluster in ["shop", &long] {
            let out = directory.path().join(format!("of-{cluster}"));
            init(cluster, &nodes(), &[], &out, 30).unwrap();
            assert_eq!(
                cluster_of(&fs::read_to_string(out.join("ca.pem")).unwrap()).as_deref(),
                Some(cluster)
            );
            add(&[], &["ann".into()], &out, 30).unwrap();
            let tls = trimaran_client::Tls::from_files(
                out.join("ca.pem"),
                Some((out.join("user-ann.pem"), out.join("user-ann.key"))),
            );
            tls.unwrap();
        }
    }

    #[test]
    fn an_expired_certificate_is_refused_before_anything_connects() {
        let directory = tempfile::tempdir().unwrap();
        let out = directory.path().join("certs");
        // It ended this midnight.
        init("shop", &nodes(), &["joe".into()], &out, 0).unwrap();
        let file = out.join("user-joe.pem");
        let read =
            trimaran_client::Tls::from_files(out.join("ca.pem"), Some((&file, out.join("user-joe.key"))));
        let refused = read.unwrap_err().to_string();
        assert!(refused.starts_with(&format!("{} expired at ", file.display())), "{refused}");
    }
}
