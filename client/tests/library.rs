//! The library against a queue manager that misbehaves on request. What the real one does is tested with it, in
//! `trimaran-tests`.

mod fake;

use std::{
    pin::pin,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use fake::{Cluster, Node, Way, sockets_to};
use futures::{StreamExt, TryStreamExt};
use trimaran_client::{
    Connection, ConnectionState, Error, FOREVER, GetOptions, Message, UnitOutcome, reason,
};

async fn connect(nodes: &[Node]) -> Connection {
    Connection::builder(nodes.iter().map(|node| node.address.as_str()))
        .queue_manager("ha.queue.manager")
        .connect_within(Duration::from_secs(10))
        .connect()
        .await
        .expect("a node serves")
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < Duration::from_secs(10), "waited 10 s until {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn a_message_goes_in_and_comes_out_with_its_descriptor() {
    let (_cluster, nodes) = Cluster::new(1);
    let queue = connect(&nodes).await.queue("HA.QUEUE");
    let message = Message::text("Hello").priority(7).correlation_id("c1").expiry(Duration::from_secs(9));
    let placed = queue.put(message).await.unwrap();
    assert!(!placed.duplicate);

    assert_eq!(queue.status().await.unwrap().depth, 1);
    let got = queue.get(Duration::ZERO).await.unwrap().expect("one message");
    assert_eq!(got.as_text(), Some("Hello"));
    assert_eq!(got.descriptor.message_id, placed.message_id);
    assert_eq!(got.descriptor.priority, Some(7));
    assert!(got.is_persistent());
    assert!(queue.get(Duration::ZERO).await.unwrap().is_none());
}

#[tokio::test]
async fn a_queue_manager_that_one_node_does_not_know_yet_is_asked_for_elsewhere() {
    let (cluster, mut nodes) = Cluster::new(3);
    cluster.move_service_to(&nodes[2]);
    nodes[0].faults.knows_no_queue_manager.store(true, Ordering::SeqCst);
    nodes[1].kill();
    connect(&nodes).await.queue("HA.QUEUE").put("Hello").await.unwrap();
    assert_eq!(cluster.bodies("HA.QUEUE"), ["Hello"]);
}

#[tokio::test]
async fn a_queue_manager_that_nobody_knows_is_not_looked_for_until_the_time_is_up() {
    let (_cluster, mut nodes) = Cluster::new(3);
    nodes[1].kill();
    let addresses = nodes.iter().map(|node| node.address.as_str());
    let builder = Connection::builder(addresses).queue_manager("other").connect_within(FOREVER);
    let refused = tokio::time::timeout(Duration::from_secs(10), builder.connect()).await.expect("an answer");
    assert_eq!(refused.unwrap_err().reason(), Some(reason::Q_MGR_NAME_ERROR));
}

#[tokio::test]
async fn calls_of_one_instant_leave_in_one_request() {
    let (cluster, nodes) = Cluster::new(1);
    let queue = connect(&nodes).await.queue("HA.QUEUE");
    queue.put("first").await.unwrap();

    let before = nodes[0].faults.requests.load(Ordering::SeqCst);
    let puts = (0..500).map(|n| queue.put(format!("{n}")));
    for placed in futures::future::join_all(puts).await {
        placed.unwrap();
    }
    let requests = nodes[0].faults.requests.load(Ordering::SeqCst) - before;
    assert!(requests <= 5, "500 puts took {requests} requests");
    assert_eq!(cluster.bodies("HA.QUEUE").len(), 501);
}

#[tokio::test]
async fn puts_stay_in_order_and_exactly_once_when_answers_are_lost_with_their_node() {
    let (cluster, mut nodes) = Cluster::new(3);
    let connection = connect(&nodes).await;
    let queue = connection.queue("HA.QUEUE");
    let producer = tokio::spawn(async move {
        let mut answers = Vec::new();
        for n in 0..3000 {
            answers.push(queue.start_put(format!("{n}")).await.unwrap());
            if n % 100 == 0 {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
        for answer in answers {
            answer.await.unwrap();
        }
    });
    for victim in 0..2 {
        tokio::time::sleep(Duration::from_millis(15)).await;
        let faults = &nodes[victim].faults;
        faults.swallow_answers.store(true, Ordering::SeqCst);
        let calls = nodes[victim].calls();
        until("some puts lost their answers", || nodes[victim].calls() > calls).await;
        cluster.move_service_to(&nodes[victim + 1]);
        nodes[victim].kill();
    }
    producer.await.unwrap();
    let expected: Vec<String> = (0..3000).map(|n| n.to_string()).collect();
    assert_eq!(cluster.bodies("HA.QUEUE"), expected);
    assert!(cluster.store().duplicates > 0, "no put was repeated, so nothing was tested");
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_gets_a_definite_answer() {
    let (cluster, mut nodes) = Cluster::new(2);
    let connection = connect(&nodes).await;

    let mut unit = connection.unit_of_work().await.unwrap();
    unit.put("HA.QUEUE", "one").await.unwrap();
    unit.put("OTHER", "two").await.unwrap();
    let id = unit.id().to_vec();
    nodes[0].faults.swallow_answers.store(true, Ordering::SeqCst);
    let commit = tokio::spawn(unit.commit());
    until("the commit is carried out", || cluster.bodies("OTHER").len() == 1).await;
    cluster.move_service_to(&nodes[1]);
    nodes[0].kill();

    commit.await.unwrap().expect("it was committed");
    assert_eq!(connection.unit_outcome(&id).await.unwrap(), UnitOutcome::Committed);
}

#[tokio::test]
async fn a_commit_that_never_arrived_is_backed_out() {
    let (cluster, mut nodes) = Cluster::new(2);
    let connection = connect(&nodes).await;

    let mut unit = connection.unit_of_work().await.unwrap();
    unit.put("HA.QUEUE", "one").await.unwrap();
    nodes[0].faults.ignore_commits.store(true, Ordering::SeqCst);
    let calls = nodes[0].calls();
    let commit = tokio::spawn(unit.commit());
    until("the commit is sent", || nodes[0].calls() > calls).await;
    cluster.move_service_to(&nodes[1]);
    nodes[0].kill();

    let error = commit.await.unwrap().unwrap_err();
    assert!(error.is_backed_out(), "{error}");
    assert!(cluster.bodies("HA.QUEUE").is_empty());
}

#[tokio::test]
async fn a_unit_in_flight_at_a_reconnect_is_backed_out() {
    let (cluster, mut nodes) = Cluster::new(2);
    let connection = connect(&nodes).await;
    cluster.store().queues.get_mut("HA.QUEUE").unwrap().push_back(Default::default());

    let mut unit = connection.unit_of_work().await.unwrap();
    assert!(unit.get("HA.QUEUE", Duration::ZERO).await.unwrap().is_some());
    cluster.move_service_to(&nodes[1]);
    nodes[0].kill();

    let error = unit.put("OTHER", "two").await.unwrap_err();
    assert_eq!(error.reason(), Some(reason::BACKED_OUT));
    let error = unit.commit().await.unwrap_err();
    assert!(error.is_backed_out(), "{error}");
    let mut unit = connection.unit_of_work().await.unwrap();
    unit.put("OTHER", "again").await.unwrap();
    unit.commit().await.unwrap();
    assert_eq!(cluster.bodies("OTHER"), ["again"]);
}

/// A controlled end waits for every program: one that asked again and again would never let it come.
#[tokio::test]
async fn a_get_that_waits_in_a_unit_without_messages_ends_when_the_queue_manager_quiesces() {
    let (_cluster, nodes) = Cluster::new(1);
    let connection = connect(&nodes).await;
    let begun = Instant::now();
    let mut unit = connection.unit_of_work().await.unwrap();
    let faults = nodes[0].faults.clone();
    let waits = tokio::spawn(async move {
        let got = unit.get("HA.QUEUE", Duration::from_secs(30)).await;
        (got.map(drop), unit.backout().await)
    });
    until("the get is there", || nodes[0].calls() >= 4).await;
    faults.quiesces.store(true, Ordering::SeqCst);
    let (got, backed_out) = waits.await.unwrap();
    assert_eq!(got.unwrap_err().reason(), Some(reason::Q_MGR_QUIESCING));
    backed_out.expect("there is nothing to back out");
    let refused = connection.unit_of_work().await.unwrap_err();
    assert_eq!(refused.reason(), Some(reason::Q_MGR_QUIESCING), "nor does the next one wait");
    assert!(begun.elapsed() < Duration::from_secs(15), "nobody waited for the end of the wait");
}

#[tokio::test]
async fn a_get_whose_wait_is_over_does_not_look_for_a_node_for_ever() {
    let (_cluster, mut nodes) = Cluster::new(1);
    let addresses = [nodes[0].address.clone()];
    let builder = Connection::builder(addresses).connect_within(Duration::from_secs(2));
    let connection = builder.connect().await.unwrap();
    let mut unit = connection.unit_of_work().await.unwrap();
    nodes[0].kill();
    let error = unit.get("HA.QUEUE", Duration::from_millis(10)).await.unwrap_err();
    assert!(error.is_unreachable(), "{error}");
}

#[tokio::test]
async fn an_error_names_the_reason() {
    let (_cluster, nodes) = Cluster::new(1);
    let connection = connect(&nodes).await;
    let error = connection.queue("NO.SUCH.QUEUE").put("lost").await.unwrap_err();
    let Error::Refused { code, reason, name, text } = error else { panic!("{error}") };
    assert_eq!((code, reason, name), (2, 2085, "UNKNOWN_OBJECT_NAME"));
    assert_eq!(text, "NO.SUCH.QUEUE: The fake says 2085.");

    let error = connection.queue("NO.SUCH.QUEUE").get(FOREVER).await.unwrap_err();
    assert_eq!(error.reason(), Some(reason::UNKNOWN_OBJECT_NAME));
    let mut unit = connection.unit_of_work().await.unwrap();
    let error = unit.put("NO.SUCH.QUEUE", "x").await.unwrap_err();
    assert_eq!(error.reason(), Some(reason::UNKNOWN_OBJECT_NAME));
}

#[tokio::test]
async fn a_queue_that_is_created_later_is_opened_then() {
    let (cluster, nodes) = Cluster::new(1);
    let queue = connect(&nodes).await.queue("LATER");
    queue.put("too early").await.unwrap_err();
    cluster.store().queues.insert("LATER".into(), Default::default());
    queue.put("now").await.unwrap();
}

#[tokio::test]
async fn a_wrong_queue_manager_is_told_at_once() {
    let (_cluster, nodes) = Cluster::new(1);
    let started = Instant::now();
    let result = Connection::builder([&nodes[0].address]).queue_manager("other").connect().await;
    assert_eq!(result.unwrap_err().reason(), Some(reason::Q_MGR_NAME_ERROR));
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn nobody_there_is_unreachable() {
    let (_cluster, mut nodes) = Cluster::new(1);
    nodes[0].kill();
    let result =
        Connection::builder([&nodes[0].address]).connect_within(Duration::from_millis(300)).connect().await;
    let error = result.unwrap_err();
    assert!(error.is_unreachable(), "{error}");
    assert!(error.to_string().contains(&nodes[0].address), "{error}");
}

#[tokio::test]
async fn one_address_is_enough_to_find_who_serves() {
    let (cluster, nodes) = Cluster::new(3);
    cluster.move_service_to(&nodes[2]);
    let connection = Connection::builder([&nodes[0].address]).connect().await.unwrap();
    let state = connection.state().borrow().clone();
    assert_eq!(state, ConnectionState::Connected { node: "n2".into(), address: nodes[2].address.clone() });
    assert_eq!(connection.queue_manager(), "ha.queue.manager");
}

#[tokio::test]
async fn the_state_tells_of_a_reconnect() {
    let (cluster, mut nodes) = Cluster::new(2);
    let connection = connect(&nodes).await;
    let mut state = connection.state();
    nodes[0].kill();
    state
        .wait_for(|state| matches!(state, ConnectionState::Reconnecting { attempt: 2.., .. }))
        .await
        .unwrap();
    cluster.move_service_to(&nodes[1]);
    let started = Instant::now();
    state
        .wait_for(|state| matches!(state, ConnectionState::Connected { node, .. } if node == "n1"))
        .await
        .unwrap();
    assert!(started.elapsed() < Duration::from_secs(1), "found after {:?}", started.elapsed());
    connection.queue("HA.QUEUE").put("after").await.unwrap();
}

#[tokio::test]
async fn a_client_that_gives_up_says_so() {
    let (_cluster, mut nodes) = Cluster::new(1);
    let connection = Connection::builder([&nodes[0].address])
        .give_up_after(Duration::from_millis(200))
        .connect()
        .await
        .unwrap();
    nodes[0].kill();
    let error = connection.queue("HA.QUEUE").put("lost").await.unwrap_err();
    assert!(error.is_unreachable(), "{error}");
    assert!(matches!(&*connection.state().borrow(), ConnectionState::Closed { .. }));
    assert!(connection.unit_of_work().await.unwrap_err().is_unreachable());
}

#[tokio::test]
async fn a_node_that_hangs_is_left_when_another_one_serves() {
    let (cluster, nodes) = Cluster::new(3);
    let connection = connect(&nodes).await;
    let queue = connection.queue("HA.QUEUE");
    queue.put("before").await.unwrap();

    nodes[0].faults.hang.store(true, Ordering::SeqCst);
    cluster.move_service_to(&nodes[1]);
    let started = Instant::now();
    queue.put("during").await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(3), "it took {:?}", started.elapsed());
    assert_eq!(cluster.bodies("HA.QUEUE"), ["before", "during"]);
}

#[tokio::test]
async fn a_waiting_get_leaves_a_node_that_hangs_too() {
    let (cluster, nodes) = Cluster::new(2);
    let connection = connect(&nodes).await;
    let queue = connection.queue("HA.QUEUE");
    let getter = tokio::spawn({
        let queue = queue.clone();
        async move { queue.get(FOREVER).await }
    });
    until("the get waits", || nodes[0].calls() >= 3).await;
    nodes[0].faults.hang.store(true, Ordering::SeqCst);
    cluster.move_service_to(&nodes[1]);
    let error = tokio::time::timeout(Duration::from_secs(5), getter).await.unwrap().unwrap().unwrap_err();
    assert!(error.is_interrupted(), "{error}");
}

/// A client of a node that has two addresses, and is connected at the first of them. Both are asked, and on a busy
/// machine the second may answer first: such a client goes, and another one comes.
async fn connect_by(way: &Way, node: &Node) -> Connection {
    let addresses = [way.address.as_str(), node.address.as_str()];
    loop {
        let connection = Connection::builder(addresses).connect().await.unwrap();
        if address_of(&connection) == Some(way.address.clone()) {
            connection.queue("HA.QUEUE").put("first").await.unwrap();
            return connection;
        }
        drop(connection);
        until("the client is gone", || way.sockets() == 0).await;
    }
}

fn address_of(connection: &Connection) -> Option<String> {
    match &*connection.state().borrow() {
        ConnectionState::Connected { address, .. } => Some(address.clone()),
        _ => None,
    }
}

#[tokio::test]
async fn a_node_whose_address_is_gone_is_taken_at_another_one() {
    let (cluster, nodes) = Cluster::new(1);
    let mut way = Way::to(&nodes[0]);
    let connection = connect_by(&way, &nodes[0]).await;
    let _stalled = way.vanish().await;
    let began = Instant::now();
    let queue = connection.queue("HA.QUEUE");
    let mut put = pin!(queue.put("second"));
    while let Err(_later) = tokio::time::timeout(Duration::from_millis(10), &mut put).await {
        let dials = way.sockets();
        assert!(dials <= 1 + 3, "{dials} sockets lead to an address that is gone");
        assert!(began.elapsed() < Duration::from_secs(3), "the node answers at its other address");
    }
    assert_eq!(address_of(&connection), Some(nodes[0].address.clone()));
    assert_eq!(cluster.bodies("HA.QUEUE"), ["first", "second"]);
    until("what leads nowhere is closed", || way.sockets() == 0).await;
}

#[tokio::test]
async fn a_node_that_is_only_slow_is_kept_and_what_asked_it_meanwhile_is_closed() {
    let (cluster, nodes) = Cluster::new(1);
    let way = Way::to(&nodes[0]);
    let connection = connect_by(&way, &nodes[0]).await;
    let stalled = way.stall();
    let queue = connection.queue("HA.QUEUE");
    let mut put = pin!(queue.put("second"));
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(3) {
        let later = tokio::time::timeout(Duration::from_millis(10), &mut put).await;
        assert!(later.is_err(), "what is on its way is not begun anew");
        assert!(way.sockets() <= 1 + 3, "{} sockets lead to a slow node", way.sockets());
    }
    stalled.send_replace(false);
    put.await.unwrap();
    assert_eq!(address_of(&connection), Some(way.address.clone()));
    assert_eq!(cluster.bodies("HA.QUEUE"), ["first", "second"]);
    until("one connection is left", || way.sockets() == 1).await;
}

#[tokio::test]
async fn connections_to_nodes_that_do_not_serve_are_closed_when_one_that_does_is_found() {
    let (cluster, nodes) = Cluster::new(3);
    cluster.move_service_to(&nodes[2]);
    let connection = connect(&nodes).await;
    connection.queue("HA.QUEUE").put("Hello").await.unwrap();
    let sockets = |node: &Node| sockets_to(node.address.parse().unwrap());
    until("the others are left alone", || sockets(&nodes[0]) + sockets(&nodes[1]) == 0).await;
    assert_eq!(sockets(&nodes[2]), 1);
}

#[tokio::test]
async fn the_window_bounds_what_is_on_its_way() {
    let (cluster, nodes) = Cluster::new(1);
    let connection = Connection::builder([&nodes[0].address]).window(4, 1 << 20).connect().await.unwrap();
    let queue = connection.queue("HA.QUEUE");
    queue.put("opens the queue").await.unwrap();
    nodes[0].faults.swallow_answers.store(true, Ordering::SeqCst);
    for n in 0..4 {
        queue.start_put(format!("{n}")).await.unwrap();
    }
    let fifth = tokio::time::timeout(Duration::from_millis(100), queue.start_put("4")).await;
    assert!(fifth.is_err(), "a fifth put had room in a window of four");
    assert_eq!(cluster.bodies("HA.QUEUE").len(), 5);

    // Many that wait for room all get it once answers come again.
    nodes[0].faults.swallow_answers.store(false, Ordering::SeqCst);
    drop(connection);
    let connection = Connection::builder([&nodes[0].address]).window(3, 1 << 20).connect().await.unwrap();
    let queue = connection.queue("OTHER");
    let puts = (0..200).map(|n| queue.put(format!("{n}")));
    for placed in futures::future::join_all(puts).await {
        placed.unwrap();
    }
    assert_eq!(cluster.bodies("OTHER").len(), 200);
}

#[tokio::test]
async fn a_browse_shows_every_message_once_also_over_a_reconnect() {
    let (cluster, mut nodes) = Cluster::new(2);
    let connection = connect(&nodes).await;
    let queue = connection.queue("HA.QUEUE");
    for placed in queue.put_many((0..1000).map(|n| n.to_string())).await.unwrap() {
        placed.unwrap();
    }
    let mut seen = Vec::new();
    let mut messages = pin!(queue.browse());
    while let Some(message) = messages.try_next().await.unwrap() {
        seen.push(message.as_text().unwrap().to_string());
        if seen.len() == 300 {
            cluster.move_service_to(&nodes[1]);
            nodes[0].kill();
        }
    }
    let expected: Vec<String> = (0..1000).map(|n| n.to_string()).collect();
    assert_eq!(seen, expected);
    assert_eq!(cluster.bodies("HA.QUEUE").len(), 1000);
}

#[tokio::test]
async fn a_cursor_takes_the_very_message_it_stands_on() {
    let (cluster, mut nodes) = Cluster::new(2);
    let queue = connect(&nodes).await.queue("HA.QUEUE");
    for text in ["Hello", "This", "is", "a", "test"] {
        queue.put(text).await.unwrap();
    }
    let mut cursor = queue.cursor();
    assert_eq!(cursor.next().await.unwrap().unwrap().as_text(), Some("Hello"));
    assert_eq!(cursor.next().await.unwrap().unwrap().as_text(), Some("This"));
    assert_eq!(cursor.get().await.unwrap().unwrap().as_text(), Some("This"));
    assert!(cursor.get().await.unwrap().is_none(), "it is gone");
    assert_eq!(cursor.next().await.unwrap().unwrap().as_text(), Some("is"));

    // Over a failover the cursor still means the message that was shown.
    cluster.move_service_to(&nodes[1]);
    nodes[0].kill();
    assert_eq!(cursor.get().await.unwrap().unwrap().as_text(), Some("is"));
    assert_eq!(cursor.next().await.unwrap().unwrap().as_text(), Some("a"));
    assert_eq!(cursor.next().await.unwrap().unwrap().as_text(), Some("test"));
    assert!(cursor.next().await.unwrap().is_none());
    assert_eq!(cluster.bodies("HA.QUEUE"), ["Hello", "a", "test"]);
}

#[tokio::test]
async fn a_big_body_travels_in_parts() {
    let (cluster, nodes) = Cluster::new(1);
    let connection = connect(&nodes).await;
    let queue = connection.queue("HA.QUEUE");
    let body: Vec<u8> = (0..5_500_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let (big, small) = tokio::join!(queue.put(body.clone()), queue.put("small"));
    big.unwrap();
    small.unwrap();
    assert_eq!(cluster.store().queues["HA.QUEUE"][0].body.len(), body.len());
    let got = queue.get(Duration::ZERO).await.unwrap().unwrap();
    assert!(got.body == body, "the body came back as it was put");

    let mut unit = connection.unit_of_work().await.unwrap();
    unit.put("OTHER", body.clone()).await.unwrap();
    unit.commit().await.unwrap();
    let delivery = connection.queue("OTHER").get_under_syncpoint(Duration::ZERO).await.unwrap().unwrap();
    assert!(delivery.body == body);
    delivery.commit().await.unwrap();

    let error = queue.put(vec![0; 100 * 1024 * 1024 + 1]).await.unwrap_err();
    assert_eq!(error.reason(), Some(reason::MSG_TOO_BIG_FOR_Q_MGR));
}

#[tokio::test]
async fn a_big_body_is_repeated_whole() {
    let (cluster, mut nodes) = Cluster::new(2);
    let queue = connect(&nodes).await.queue("HA.QUEUE");
    queue.put("opens the queue").await.unwrap();
    nodes[0].faults.hang.store(true, Ordering::SeqCst);
    let put = queue.start_put(vec![7; 3_000_000]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    cluster.move_service_to(&nodes[1]);
    nodes[0].kill();
    put.await.unwrap();
    assert_eq!(cluster.store().queues["HA.QUEUE"][1].body.len(), 3_000_000);
}

#[tokio::test]
async fn a_message_for_a_get_nobody_waits_for_goes_to_the_next_one() {
    let (_cluster, nodes) = Cluster::new(1);
    let queue = connect(&nodes).await.queue("HA.QUEUE");
    for round in 0..20 {
        let get = queue.get(FOREVER);
        assert!(tokio::time::timeout(Duration::from_millis(5), get).await.is_err());
        queue.put(format!("{round}")).await.unwrap();
        let message = queue.get(Duration::from_secs(5)).await.unwrap().expect("not lost");
        assert_eq!(message.as_text(), Some(format!("{round}").as_str()));
    }
}

#[tokio::test]
async fn a_delivery_that_is_dropped_goes_back() {
    let (cluster, nodes) = Cluster::new(1);
    let queue = connect(&nodes).await.queue("HA.QUEUE");
    queue.put("work").await.unwrap();
    let delivery = queue.get_under_syncpoint(Duration::ZERO).await.unwrap().unwrap();
    assert!(cluster.bodies("HA.QUEUE").is_empty());
    drop(delivery);
    until("the message is back", || cluster.bodies("HA.QUEUE") == ["work"]).await;
    let delivery = queue.get_under_syncpoint(Duration::ZERO).await.unwrap().unwrap();
    assert_eq!(delivery.backout_count(), 1);
    assert_eq!(delivery.commit().await.unwrap().as_text(), Some("work"));
    assert!(queue.get_under_syncpoint(Duration::ZERO).await.unwrap().is_none());
}

#[tokio::test]
async fn a_stream_of_messages_commits_as_it_goes() {
    let (cluster, nodes) = Cluster::new(1);
    let connection = connect(&nodes).await;
    let queue = connection.queue("HA.QUEUE");
    for text in ["a", "b", "c"] {
        queue.put(text).await.unwrap();
    }
    {
        let mut messages = pin!(queue.messages());
        assert_eq!(messages.next().await.unwrap().unwrap().as_text(), Some("a"));
        assert_eq!(messages.next().await.unwrap().unwrap().as_text(), Some("b"));
    }
    until("the one that was not finished is back", || cluster.bodies("HA.QUEUE") == ["b", "c"]).await;
}

#[tokio::test]
async fn a_program_that_starts_again_under_its_name_repeats_without_harm() {
    let (cluster, nodes) = Cluster::new(1);
    for first in [1, 1, 3] {
        let connection =
            Connection::builder([&nodes[0].address]).producer("orders", first).connect().await.unwrap();
        let queue = connection.queue("HA.QUEUE");
        for n in first..first + 3 {
            let put = queue.start_put(format!("{n}")).await.unwrap();
            assert_eq!(put.sequence(), n);
            put.await.unwrap();
        }
    }
    assert_eq!(cluster.bodies("HA.QUEUE"), ["1", "2", "3", "4", "5"]);
}

#[tokio::test]
async fn a_get_selects_by_correlation_id() {
    let (_cluster, nodes) = Cluster::new(1);
    let queue = connect(&nodes).await.queue("HA.QUEUE");
    for id in ["one", "two", "three"] {
        queue.put(Message::text(id).correlation_id(id)).await.unwrap();
    }
    let wanted = GetOptions::new().correlation_id("two");
    assert_eq!(queue.get_with(wanted.clone()).await.unwrap().unwrap().as_text(), Some("two"));
    assert!(queue.get_with(wanted).await.unwrap().is_none());
}

#[tokio::test]
async fn what_is_not_used_any_more_is_closed() {
    let (_cluster, nodes) = Cluster::new(1);
    let connection = connect(&nodes).await;
    let queue = connection.queue("HA.QUEUE");
    queue.put("x").await.unwrap();
    let delivery = connection.queue("HA.QUEUE").get_under_syncpoint(Duration::ZERO).await.unwrap().unwrap();
    delivery.commit().await.unwrap();
    assert_eq!(nodes[0].faults.open_handles.load(Ordering::SeqCst), 2);
    drop(queue);
    until("the queue is closed everywhere", || nodes[0].faults.open_handles.load(Ordering::SeqCst) == 0)
        .await;
}

#[tokio::test]
async fn what_has_no_queue_goes_to_the_dead_letter_queue_with_a_warning() {
    let (cluster, nodes) = Cluster::new(1);
    let connection = connect(&nodes).await;
    let placed = connection.queue("NO.SUCH.QUEUE").put_or_dead_letter("lost").await.unwrap();
    assert_eq!(placed.warning, reason::UNKNOWN_OBJECT_NAME);
    assert_eq!(cluster.bodies("DLQ"), ["lost"]);
    assert_eq!(connection.queue("HA.QUEUE").put_or_dead_letter("found").await.unwrap().warning, 0);
}

#[tokio::test]
async fn closing_waits_for_the_answers() {
    let (cluster, nodes) = Cluster::new(1);
    let connection = connect(&nodes).await;
    let queue = connection.queue("HA.QUEUE");
    let mut answers = Vec::new();
    for n in 0..1000 {
        answers.push(queue.start_put(format!("{n}")).await.unwrap());
    }
    connection.close().await;
    assert_eq!(cluster.bodies("HA.QUEUE").len(), 1000);
    for answer in answers {
        answer.await.unwrap();
    }
    assert!(matches!(queue.put("late").await.unwrap_err(), Error::Closed));
}
