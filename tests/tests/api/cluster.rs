//! A Redis Cluster behind one address: what `MOVED` and `ASK` name is followed, where the component
//! may connect to it.

use edgelatch_tests::{App, AppBuilder, RedisCluster, RedisServer, Service, until};

const SUCCESS: &str = r#"{"status":"success"}"#;

/// What an operator sets so that the component may connect to all nodes.
const NODES: &str = "redis://127.0.0.1:*";

fn on_cluster() -> AppBuilder {
    App::builder().patient().var("redis_nodes", NODES)
}

/// A user whose keys are on this node.
async fn user_on(cluster: &RedisCluster, node: usize) -> u32 {
    for user in 100.. {
        if cluster.node_of(&format!("user:{user}:lock")).await == node {
            return user;
        }
    }
    unreachable!("each node has some")
}

/// Tells whether clients send anything to a node. Errors are counted by code only since Redis 6.2.
struct Ear<'a> {
    node: &'a RedisServer,
    bytes: u64,
    /// What a look costs: each has a connection of its own.
    own: u64,
}

impl<'a> Ear<'a> {
    async fn at(node: &'a RedisServer) -> Self {
        let before = Self::bytes(node).await;
        let bytes = Self::bytes(node).await;
        let own = bytes - before;
        Self { node, bytes, own }
    }

    async fn has_heard_nothing(&self) -> bool {
        Self::bytes(self.node).await == self.bytes + self.own
    }

    async fn bytes(node: &RedisServer) -> u64 {
        let info: String = node.run(&["INFO", "stats"]).await;
        let mut lines = info.lines();
        let bytes = lines.find_map(|line| line.strip_prefix("total_net_input_bytes:"));
        bytes.unwrap().trim().parse().unwrap()
    }
}

async fn assert_acts(service: &Service, user: u32) {
    let answer = service.perform(&format!("user_id={user}")).await;
    answer.assert_body(200, SUCCESS);
}

#[tokio::test]
async fn the_users_of_all_nodes_are_served_through_one_address() {
    let cluster = RedisCluster::start().await;
    let service = on_cluster().beside(&cluster.nodes()[0]);
    let mut users: Vec<u32> = (1..10).collect();
    for node in 0..cluster.nodes().len() {
        users.push(user_on(&cluster, node).await);
    }
    for user in users {
        assert_acts(&service, user).await;
        let entry = format!("/api/v1/users/{user}/cache/profile");
        assert_eq!(service.put(&entry).json("1").await.status, 201);
        service.get(&entry).await.assert_body(200, "1");
        let lock = format!("/api/v1/users/{user}/lock");
        assert_eq!(service.post(&lock).await.status, 201);
        assert_eq!(service.post(&lock).await.status, 423);
        let node = cluster.node_of(&format!("user:{user}:lock")).await;
        let node = &cluster.nodes()[node];
        assert!(node.exists(&format!("user:{user}:lock")).await);
        assert!(
            node.exists(&format!("{{user:{user}:lock}}:cache:profile"))
                .await
        );
    }
    for node in cluster.nodes() {
        assert!(node.calls("evalsha").await > 0);
    }
}

#[tokio::test]
async fn where_a_slot_is_need_be_said_only_once() {
    let cluster = RedisCluster::start().await;
    let user = user_on(&cluster, 2).await;
    // One instance, however long the pauses.
    let builder = on_cluster()
        .reusing_instances()
        .argument("--idle-instance-timeout")
        .argument("60s");
    let service = builder.beside(&cluster.nodes()[0]);
    let nodes = cluster.nodes();
    assert_acts(&service, user).await;
    let ear = Ear::at(&nodes[0]).await;
    for _ in 0..4 {
        assert_acts(&service, user).await;
    }
    assert!(ear.has_heard_nothing().await);
    // An empty slot may be given away at any time.
    let lock = format!("user:{user}:lock");
    for key in nodes[2].run::<Vec<String>>(&["KEYS", "*"]).await {
        nodes[2].run::<()>(&["DEL", &key]).await;
    }
    cluster.give(&lock, 1).await;
    assert_acts(&service, user).await;
    let ears = (Ear::at(&nodes[0]).await, Ear::at(&nodes[2]).await);
    assert_acts(&service, user).await;
    assert!(ears.0.has_heard_nothing().await && ears.1.has_heard_nothing().await);
    nodes[1].run::<()>(&["FLUSHALL"]).await;
    cluster.give(&lock, 0).await;
    assert_acts(&service, user).await;
    let ears = (Ear::at(&nodes[1]).await, Ear::at(&nodes[2]).await);
    assert_acts(&service, user).await;
    assert!(ears.0.has_heard_nothing().await && ears.1.has_heard_nothing().await);
    assert!(nodes[0].exists(&format!("{{{lock}}}:fence")).await);
}

#[tokio::test]
async fn a_disallowed_node_is_503_and_others_serve() {
    let cluster = RedisCluster::start().await;
    let (near, far) = (user_on(&cluster, 0).await, user_on(&cluster, 1).await);
    let service = App::builder().patient().beside(&cluster.nodes()[0]);
    for _ in 0..3 {
        assert_acts(&service, near).await;
        let answer = service.perform(&format!("user_id={far}")).await;
        answer.assert_problem(503, "redis-unavailable");
        assert_eq!(answer.header("retry-after"), Some("1"));
    }
    assert!(service.logs().contains("allowed_outbound_hosts"));
}

#[tokio::test]
async fn a_node_that_is_gone_is_503_until_another_has_its_slots() {
    let mut cluster = RedisCluster::start().await;
    let (near, far) = (user_on(&cluster, 0).await, user_on(&cluster, 1).await);
    let service = on_cluster().beside(&cluster.nodes()[0]);
    assert_acts(&service, far).await;
    cluster.nodes_mut()[1].kill();
    let answer = service.perform(&format!("user_id={far}")).await;
    answer.assert_problem(503, "redis-unavailable");
    assert_acts(&service, near).await;
    cluster.nodes_mut()[1].restart().await;
    until("it is served again", async || {
        service.perform(&format!("user_id={far}")).await.status == 200
    })
    .await;
}

#[tokio::test]
async fn entries_are_read_at_both_nodes_while_their_slot_is_moved() {
    let cluster = RedisCluster::start().await;
    let user = user_on(&cluster, 1).await;
    let service = on_cluster().beside(&cluster.nodes()[0]);
    let entry = |name: &str| format!("/api/v1/users/{user}/cache/{name}");
    let long = format!("\"{}\"", "x".repeat(20_000));
    for (name, json) in [("moved", "1"), ("moved-too", &long), ("left", "2")] {
        assert_eq!(service.put(&entry(name)).json(json).await.status, 201);
    }
    let lock = format!("user:{user}:lock");
    cluster.begin_to_move(&lock, 2).await;
    for name in ["moved", "moved-too"] {
        let key = format!("{{{lock}}}:cache:{name}");
        cluster.move_key(&key, 2).await;
    }
    for _ in 0..3 {
        service.get(&entry("moved")).await.assert_body(200, "1");
        service
            .get(&entry("moved-too"))
            .await
            .assert_body(200, &long);
        service.get(&entry("left")).await.assert_body(200, "2");
        let none = service.get(&entry("none")).await;
        none.assert_problem(404, "not-found");
    }
    assert!(cluster.nodes()[2].calls("asking").await > 0);
    cluster.move_keys(&lock, 2).await;
    cluster.give(&lock, 2).await;
    for (name, json) in [("moved", "1"), ("moved-too", &long), ("left", "2")] {
        service.get(&entry(name)).await.assert_body(200, json);
    }
    assert_acts(&service, user).await;
}

#[tokio::test]
async fn requests_wait_until_their_slot_has_been_moved() {
    let cluster = RedisCluster::start().await;
    let user = user_on(&cluster, 1).await;
    let service = on_cluster().beside(&cluster.nodes()[0]);
    let lock = format!("user:{user}:lock");
    let lease = format!("/api/v1/users/{user}/lock");
    let token = "a-token-of-twenty-bytes";
    let taken = service.post(&format!("{lease}?expire=60"));
    let taken = taken.header("lock-token", token).await;
    assert_eq!(taken.status, 201);
    cluster.begin_to_move(&lock, 2).await;
    let other = service.post(&format!("{lease}?timeout=0")).spawn();
    cluster.move_keys(&lock, 2).await;
    // From then on the old node sends commands on. Those of a holder find all of their keys.
    let renewal = service.put(&format!("{lease}?expire=60"));
    let renewal = renewal.header("lock-token", token).await;
    assert_eq!(renewal.status, 200);
    assert_eq!(
        renewal.json()["fencing_token"],
        taken.json()["fencing_token"]
    );
    let asked = cluster.nodes()[2].calls("asking").await;
    until("the other one is told to ask the new node", async || {
        cluster.nodes()[2].calls("asking").await > asked
    })
    .await;
    assert!(!other.is_finished());
    cluster.give(&lock, 2).await;
    // At no time was the lock anybody else's.
    other.await.unwrap().assert_problem(423, "lock-held");
    let released = service.delete(&lease).header("lock-token", token).await;
    assert_eq!(released.status, 204);
    assert_acts(&service, user).await;
}

#[tokio::test]
async fn a_move_that_outlasts_redis_timeout_is_503_for_all_but_waiters() {
    let cluster = RedisCluster::start().await;
    let user = user_on(&cluster, 1).await;
    let service = App::builder().var("redis_nodes", NODES);
    let service = service.beside(&cluster.nodes()[0]);
    let lock = format!("user:{user}:lock");
    assert_acts(&service, user).await;
    cluster.nodes()[1].run::<()>(&["FLUSHALL"]).await;
    cluster.begin_to_move(&lock, 2).await;
    let patient = service.perform(&format!("user_id={user}&timeout=30"));
    let patient = patient.spawn();
    let read = service.get(&format!("/api/v1/users/{user}/lock"));
    let action = service.attempt(&format!("user_id={user}"));
    for answer in [action.await, read.await] {
        answer.assert_problem(503, "redis-unavailable");
        assert_eq!(answer.header("retry-after"), Some("1"));
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains("is moving the user's keys"), "{detail}");
    }
    assert!(!patient.is_finished());
    cluster.give_up_move(&lock).await;
    patient.await.unwrap().assert_body(200, SUCCESS);
}
