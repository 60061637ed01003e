//! The container file and the example for Kubernetes, as text: what they name is there. Neither is run here.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_yaml_ng::Value;
use trimaran_node::config::Config;
use trimaran_tests::sources::{read, root};

fn kubernetes() -> Vec<Value> {
    let text = read(&root().join("node/container/kubernetes.yaml"));
    let parts = serde_yaml_ng::Deserializer::from_str(&text);
    parts.map(|part| Value::deserialize(part).expect("every part of the file is YAML")).collect()
}

fn of_kind(kind: &str) -> Value {
    let found = kubernetes().into_iter().find(|part| part["kind"] == kind);
    found.unwrap_or_else(|| panic!("there is no {kind}"))
}

fn cluster_file() -> String {
    text(&of_kind("ConfigMap")["data"]["cluster.toml"]).to_owned()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value:?} is no text"))
}

fn list(value: &Value) -> &[Value] {
    value.as_sequence().unwrap_or_else(|| panic!("{value:?} is no list"))
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value:?} is no number"))
}

/// What the node answers on its http address.
fn routes() -> BTreeSet<String> {
    let source = read(&root().join("node/src/listener/http/mod.rs"));
    source.split(".route(\"").skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned).collect()
}

#[test]
fn every_pod_is_a_node_of_its_cluster_file() {
    let set = of_kind("StatefulSet");
    let service = of_kind("Service");
    let (name, replicas) = (text(&set["metadata"]["name"]), number(&set["spec"]["replicas"]));
    let behind = text(&set["spec"]["serviceName"]);
    assert_eq!(service["metadata"]["name"], behind);
    assert_eq!(
        (&service["spec"]["clusterIP"], &service["spec"]["publishNotReadyAddresses"]),
        (&"None".into(), &true.into())
    );

    let container = &set["spec"]["template"]["spec"]["containers"][0];
    let ports = |list_of: &Value, key: &str| -> Vec<(String, u64)> {
        list(list_of).iter().map(|port| (text(&port["name"]).to_owned(), number(&port[key]))).collect()
    };
    let of_pod = ports(&container["ports"], "containerPort");
    assert_eq!(ports(&service["spec"]["ports"], "port"), of_pod);
    let port = |name: &str| of_pod.iter().find(|(port, _)| port == name).expect("the pod has such a port").1;

    for pod in 0..replicas {
        let pod = format!("{name}-{pod}");
        let config =
            Config::parse(&cluster_file(), Some(&pod)).unwrap_or_else(|error| panic!("{pod}: {error}"));
        assert_eq!(config.nodes.len() as u64, replicas);
        let node = &config.nodes[&config.node];
        let reached = |kind: &str| format!("{pod}.{behind}:{}", port(kind));
        assert_eq!(node.info.peer_address, reached("peer"));
        assert_eq!(node.info.client_address, reached("client"));
        assert_eq!(node.http_address, reached("http"));
        for (kind, listens) in
            [("peer", &node.peer_listen), ("client", &node.client_listen), ("http", &node.http_listen)]
        {
            assert_eq!(*listens, format!("0.0.0.0:{}", port(kind)));
        }
        for name in config.queue_managers.values() {
            assert_eq!(node.mq_listen.get(name.as_str()), Some(&format!("0.0.0.0:{}", port("mq"))));
        }
        // What is written lies on the volume, and what is read is mounted.
        let mounts = list(&container["volumeMounts"]);
        let mounted = |volume: &str| {
            let mount = mounts.iter().find(|mount| mount["name"] == volume).expect("it is mounted");
            text(&mount["mountPath"]).to_owned()
        };
        for directory in [&config.log_directory, &config.data_directory] {
            assert!(directory.starts_with(mounted("data")), "{}", directory.display());
        }
        let tls = config.tls.expect("the example has certificates");
        for file in [&tls.ca, &tls.certificate, &tls.key] {
            assert_eq!(file.parent(), Some(mounted("certificates").as_ref()));
        }
        let environment = list(&container["env"]);
        let given =
            |name: &str| environment.iter().find(|variable| variable["name"] == name).expect("it is given");
        assert_eq!(text(&given("TRIMARAN_CONFIG")["value"]), mounted("configuration"));
        assert_eq!(given("TRIMARAN_NODE")["valueFrom"]["fieldRef"]["fieldPath"], "metadata.name");
        let grace = number(&set["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]);
        assert!(grace > config.timing.stop.as_secs(), "the node is killed while it hands over");
    }
    let volumes = list(&set["spec"]["template"]["spec"]["volumes"]).iter();
    let claims = list(&set["spec"]["volumeClaimTemplates"]).iter().map(|claim| &claim["metadata"]["name"]);
    let there: BTreeSet<&str> = volumes.map(|volume| &volume["name"]).chain(claims).map(text).collect();
    let wanted = list(&container["volumeMounts"]).iter().map(|mount| text(&mount["name"]));
    assert_eq!(there, wanted.collect());
}

#[test]
fn pods_stay_apart_and_are_chosen_by_one_label() {
    let set = of_kind("StatefulSet");
    let labels = &set["spec"]["template"]["metadata"]["labels"];
    assert_eq!(&set["spec"]["selector"]["matchLabels"], labels);
    assert_eq!(&of_kind("Service")["spec"]["selector"], labels);
    assert_eq!(&of_kind("PodDisruptionBudget")["spec"]["selector"]["matchLabels"], labels);
    let affinity = &set["spec"]["template"]["spec"]["affinity"]["podAntiAffinity"];
    let apart = &affinity["requiredDuringSchedulingIgnoredDuringExecution"][0];
    assert_eq!(
        (&apart["labelSelector"]["matchLabels"], text(&apart["topologyKey"])),
        (labels, "kubernetes.io/hostname")
    );
}

#[test]
fn probes_ask_what_the_node_answers() {
    let set = of_kind("StatefulSet");
    let container = &set["spec"]["template"]["spec"]["containers"][0];
    for (probe, path) in [
        ("startupProbe", "/health/live"),
        ("livenessProbe", "/health/live"),
        ("readinessProbe", "/health/ready"),
    ] {
        let asked = &container[probe]["httpGet"];
        assert!(routes().contains(path), "the node has no {path}");
        assert_eq!(
            (text(&asked["path"]), text(&asked["port"]), text(&asked["scheme"])),
            (path, "http", "HTTPS")
        );
    }
}

#[test]
fn the_image_has_what_it_names() {
    let file = read(&root().join("node/container/Containerfile"));
    let line = |word: &str| {
        let found = file.lines().filter_map(|line| line.strip_prefix(word)).next_back();
        found.unwrap_or_else(|| panic!("there is no {word}")).trim().to_owned()
    };
    // The package is made by the script that the file calls, and has the program that it starts.
    let package = root().join(".ci/package");
    assert!(file.contains("bash .ci/package --out /package") && read(&package).contains("--out)"), "{file}");
    assert!(read(&package).contains("strip --strip-debug -o \"$tree/usr/bin/$program\""));
    assert_eq!(line("ENTRYPOINT"), "[\"/usr/bin/trimaran-node\"]");
    let set = of_kind("StatefulSet");
    let pod = &set["spec"]["template"]["spec"];
    let program = read(&root().join("node/src/main.rs"));
    assert!(program.contains("    Run(NodeArguments),"), "there is no command `run`");
    assert_eq!((line("CMD").as_str(), &pod["containers"][0]["args"]), ("[\"run\"]", &vec!["run"].into()));
    for variable in ["TRIMARAN_CONFIG", "TRIMARAN_NODE"] {
        assert!(program.contains(&format!("env = \"{variable}\"")), "the program does not read {variable}");
    }
    assert_eq!(line("ENV"), "TRIMARAN_CONFIG=/etc/trimaran/cluster.toml");
    assert_eq!(line("VOLUME"), "/var/lib/trimaran");

    let exposed: BTreeSet<u64> =
        line("EXPOSE").split(' ').map(|port| port.parse().expect("a port")).collect();
    for port in list(&pod["containers"][0]["ports"]) {
        assert!(exposed.contains(&number(&port["containerPort"])), "{port:?} is not exposed");
    }
    let user = format!("{0}:{0}", number(&pod["securityContext"]["runAsUser"]));
    assert_eq!(line("USER"), user);
    assert!(
        file.contains(&format!("--uid {0} ", &user[..5]))
            && file.contains(&format!("--gid {0} ", &user[..5]))
    );
    let asked: Vec<&str> =
        file.split("7301/").skip(1).filter_map(|rest| rest.split_whitespace().next()).collect();
    assert_eq!(asked.len(), 2, "{asked:?}");
    for path in asked {
        assert!(routes().contains(&format!("/{path}")), "the node has no /{path}");
    }
    let version = format!("trimaran:{}", env!("CARGO_PKG_VERSION"));
    assert_eq!(text(&pod["containers"][0]["image"]), version);
}
