//! The Debian package: made by `.ci/package` from the programs as they are built, installed in a bare Debian, used, installed
//! again, removed and purged.
//!
//! The programs must be built (`cargo build --workspace --bins`). Needs root, debootstrap, and once a mirror of Debian.

use std::path::PathBuf;
use std::process::Command;

use trimaran_tests::process::debian::Debian;
use trimaran_tests::process::program;
use trimaran_tests::sources::root;

/// What has our name and is no message: dpkg's and man-db's own books are theirs.
const OURS: &str = "find / -xdev -name '*trimaran*' ! -path '/proc/*' ! -path '/var/lib/dpkg/*' ! -path '/root/*' \
                    ! -path '/var/cache/man/*' ! -path '/var/lib/trimaran/*' | sort";

struct Package {
    file: PathBuf,
    directory: tempfile::TempDir,
}

impl Package {
    fn made() -> Package {
        let directory = tempfile::tempdir().expect("there is a place for temporary files");
        let programs =
            program("trimaran-node").parent().expect("a program lies in a directory").to_path_buf();
        let made = Command::new("bash")
            .arg(root().join(".ci/package"))
            .arg("--programs")
            .arg(programs)
            .arg("--out")
            .arg(directory.path())
            .output()
            .expect("bash starts");
        let text = String::from_utf8_lossy(&made.stdout).into_owned();
        assert!(made.status.success(), "{text}{}", String::from_utf8_lossy(&made.stderr));
        Package { file: PathBuf::from(text.lines().last().expect("it prints the path")), directory }
    }

    /// A bare Debian that has the package lying at /root/trimaran.deb.
    fn beside(&self) -> Debian {
        assert!(self.file.starts_with(self.directory.path()), "{}", self.file.display());
        let debian = Debian::bare().unwrap_or_else(|text| panic!("{text}"));
        std::fs::copy(&self.file, debian.path("/root/trimaran.deb")).expect("root's home can be written");
        debian
    }
}

#[test]
fn a_bare_debian_gets_a_node_and_keeps_nothing_of_it_but_messages_and_keys() {
    let package = Package::made();
    let debian = package.beside();
    let said = debian.ok("dpkg -i /root/trimaran.deb");
    assert!(
        said.contains("no node runs yet") && said.contains("systemctl enable --now trimaran-node"),
        "{said}"
    );
    programs_pages_and_completions_are_there(&debian);

    // As the package says it is done.
    assert_eq!(
        debian.ok("stat -c '%a %U %G' /var/lib/trimaran /etc/trimaran/certs"),
        "700 trimaran trimaran\n".repeat(2)
    );
    let check = "trimaran-node check --config /etc/trimaran/cluster.toml --node a";
    let nothing = debian.run(check);
    let text = String::from_utf8_lossy(&nothing.stderr);
    assert_eq!(nothing.status.code(), Some(10), "{text}");
    assert!(text.contains("/etc/trimaran/cluster.toml") && text.contains("trimaran cluster init"), "{text}");
    debian.ok("cd /root
        nodes=a=127.0.0.1,b=127.0.0.1,c=127.0.0.1
        trimaran certs init --cluster harbour --nodes $nodes --out certs
        trimaran cluster init --cluster harbour --nodes $nodes --tls /etc/trimaran/certs --out cluster.toml
        # What it writes for nodes on one machine is for one who tries it.
        sed -i 's|\"trimaran-data/|\"/var/lib/trimaran/|' cluster.toml
        install -m 0644 cluster.toml /etc/trimaran
        install -o trimaran -m 0600 certs/ca.pem certs/node-?.pem certs/node-?.key /etc/trimaran/certs
        sed -i 's/^#TRIMARAN_NODE=a/TRIMARAN_NODE=a/' /etc/trimaran/node.env");
    let asked = format!("setpriv --reuid trimaran --regid trimaran --clear-groups {check} || true");
    let found = debian.ok(&asked);
    let wrong: Vec<&str> = found.lines().filter(|line| line.starts_with("WRONG")).collect();
    assert!(found.lines().filter(|line| line.starts_with("ok")).count() > 5 && wrong.is_empty(), "{found}");

    the_unit_runs_three_nodes(&debian);

    // Installed again over itself, it leaves alone what an administrator has changed.
    debian.ok("chmod 0750 /var/lib/trimaran");
    let again = debian.ok("dpkg -i /root/trimaran.deb");
    assert!(!again.contains("no node runs yet"), "{again}");
    assert_eq!(
        debian.ok("stat -c %a /var/lib/trimaran; grep -c ^TRIMARAN_NODE=a /etc/trimaran/node.env"),
        "750\n1\n"
    );

    debian.ok("dpkg --remove trimaran");
    let left = debian.ok(OURS);
    assert_eq!(left.lines().collect::<Vec<_>>(), ["/etc/trimaran", "/var/lib/trimaran"]);
    assert_eq!(debian.ok("ls /etc/trimaran"), "certs\ncluster.toml\nnode.env\n");
    let purged = debian.ok("dpkg --purge trimaran");
    assert!(purged.contains("left /var/lib/trimaran"), "{purged}");
    assert_eq!(debian.ok(OURS), left);
    assert_eq!(
        debian.ok("ls /etc/trimaran; ls /var/lib/trimaran; stat -c %U /var/lib/trimaran"),
        "certs\na\nb\nc\ntrimaran\n"
    );
    assert_eq!(debian.ok("dpkg-query -l | grep -c trimaran || true; dpkg --audit"), "0\n");
}

#[test]
fn a_package_that_was_never_used_leaves_nothing() {
    let package = Package::made();
    let debian = package.beside();
    // As an IBM MQ on the same machine has it.
    let before = debian.ok("ln -s /opt/mqm/bin/mqrc /usr/bin/mqrc; ls /usr/bin; cat /etc/passwd /etc/group");
    let said = debian.ok("dpkg -i /root/trimaran.deb && getent passwd trimaran");
    assert!(said.contains("left /usr/bin/mqrc"), "{said}");
    assert_eq!(debian.ok("readlink /usr/bin/mqrc /usr/bin/amqsget"), "/opt/mqm/bin/mqrc\ntrimaran\n");
    debian.ok("dpkg --purge trimaran");
    assert_eq!(debian.ok(OURS), "");
    assert_eq!(debian.ok("ls /usr/bin; cat /etc/passwd /etc/group"), before);
}

fn programs_pages_and_completions_are_there(debian: &Debian) {
    let version = debian.ok("dpkg-query -W -f '${Version}' trimaran");
    for program in ["trimaran", "trimaran-node"] {
        assert_eq!(debian.ok(&format!("{program} --version")), format!("{program} {version}\n"));
    }
    assert_eq!(debian.ok("dpkg --verify trimaran"), "");
    // Everything that is needed is said to be: nothing is linked that no package brings.
    assert!(!debian.ok("ldd /usr/bin/trimaran /usr/bin/trimaran-node").contains("not found"));

    // By MQ's names it is MQ's commands.
    for name in debian.ok("trimaran generate names").lines() {
        assert_eq!(debian.ok(&format!("readlink /usr/bin/{name}")), "trimaran\n", "{name}");
    }
    assert_eq!(
        debian.ok("amqsput || echo $?"),
        "Sample AMQSPUT0 start\nRequired parameter missing - queue name\n99\n"
    );

    let pages = debian.ok("dpkg -L trimaran | grep '/man./' | xargs -n 1 basename");
    let pages: Vec<&str> = pages.lines().map(|page| page.trim_end_matches(".gz")).collect();
    for page in [
        "trimaran.1",
        "trimaran-put.1",
        "trimaran-queue-create.1",
        "trimaran-amqsbcg.1",
        "trimaran-node.8",
        "trimaran-node-check.8",
    ] {
        assert!(pages.contains(&page), "{page} is not among {pages:?}");
    }
    assert!(!pages.iter().any(|page| page.contains("generate") || page.contains("hold")), "{pages:?}");
    for page in pages {
        let (name, section) = page.rsplit_once('.').expect("a page has a section");
        let said = debian.run(&format!("man --warnings {section} {name} | col -bx"));
        assert_eq!(String::from_utf8_lossy(&said.stderr), "", "{page}");
    }
    let page = debian.ok("man trimaran-put | col -bx");
    for part in
        ["trimaran-put(1)", "SYNOPSIS", "--json-lines", "--connect", "echo Hello | trimaran put HA.QUEUE  "]
    {
        assert!(page.contains(part), "{part} is not in\n{page}");
    }

    let completions = "/usr/share/bash-completion/completions";
    for (program, word) in [("trimaran", "runmqsc"), ("trimaran-node", "inspect-log")] {
        debian.ok(&format!("bash -n {completions}/{program}"));
        let completed = format!(
            "source {completions}/{program}; COMP_WORDS=({program} {}); COMP_CWORD=1
             $(complete -p {program} | sed 's/.*-F \\([^ ]*\\).*/\\1/') {program} {} {program}; echo ${{COMPREPLY[@]}}",
            &word[..3],
            &word[..3]
        );
        assert!(debian.ok(&completed).contains(word), "{program} {}<TAB>", &word[..3]);
        let others = format!(
            "head -n 1 /usr/share/zsh/vendor-completions/_{program}; grep -c {word} \
             /usr/share/fish/vendor_completions.d/{program}.fish /usr/share/zsh/vendor-completions/_{program}"
        );
        let others = debian.ok(&others);
        assert!(others.starts_with(&format!("#compdef {program}\n")), "{others}");
    }
}

/// systemd does not run here: what the unit says is done by hand, on this Debian's own loopback.
fn the_unit_runs_three_nodes(debian: &Debian) {
    let unit = debian.ok("cat /usr/lib/systemd/system/trimaran-node.service");
    let said = |key: &str| {
        let line = unit.lines().find_map(|line| line.strip_prefix(key));
        line.unwrap_or_else(|| panic!("{key} is not in the unit")).to_owned()
    };
    assert_eq!(
        (said("User=").as_str(), said("EnvironmentFile=").as_str()),
        ("trimaran", "/etc/trimaran/node.env")
    );
    assert!(!unit.contains("/usr/local") && !unit.contains("useradd"), "{unit}");
    let (configuration, start, umask) = (said("Environment="), said("ExecStart="), said("UMask="));
    let lines = debian.ok(&format!(
        "umask {umask}
         for node in a b c; do
             (. /etc/trimaran/node.env
              exec setpriv --reuid trimaran --regid trimaran --clear-groups env {configuration} TRIMARAN_NODE=$node {start}) \
                 > /root/$node.log 2>&1 &
         done
         trap 'kill $(jobs -p); wait' EXIT
         cd /root
         export TRIMARAN_TLS_CA=certs/ca.pem TRIMARAN_TLS_CERT=certs/user-admin.pem TRIMARAN_TLS_KEY=certs/user-admin.key
         trimaran --within 60s queue create HA.QUEUE || {{ tail -n 5 ?.log; exit 1; }}
         echo Hello | trimaran put HA.QUEUE
         trimaran get HA.QUEUE"
    ));
    assert!(lines.lines().any(|line| line == "Hello"), "{lines}");
}
