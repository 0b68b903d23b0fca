//! The work under the user's lock: charge an order.

use edgelatch::action::{Action, ActionError, ActionResult};
use serde::{Deserialize, Serialize};
use serde_json::value::to_raw_value;

use crate::ledger::{Charged, Ledger};

/// The request's body.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    /// What the shop calls it. An order is charged once, however often it is sent.
    order: String,
    /// The price, in cents.
    cents: u32,
}

/// The `result` of the answer.
#[derive(Serialize)]
struct Receipt {
    /// The order.
    order: String,
    /// What it was charged, in cents.
    cents: i64,
    /// What all orders of the user were charged, in cents.
    total_cents: i64,
    /// The acquisition of the lock that it was charged under.
    fencing_token: i64,
}

/// Charges the order in the request's body.
///
/// # Errors
/// 400 where the body is no order, 409 `late-order` where a later holder of the lock has charged
/// already, 500 where Redis failed: then the order may have been charged, and may be sent again.
///
/// # Cancellation
/// Dropping the future charges the order or does not: it is one step in the ledger.
pub async fn run(action: Action<'_>) -> ActionResult {
    let order: Order = action.input_as()?;
    let ledger = Ledger::of(action.redis, action.user);
    let charged = ledger.charge(&order.order, order.cents, action.fencing_token);
    match charged.await.map_err(ActionError::internal)? {
        Charged::Now { cents, total_cents } => {
            let receipt = Receipt {
                order: order.order,
                cents,
                total_cents,
                fencing_token: action.fencing_token.get(),
            };
            Ok(Some(to_raw_value(&receipt).map_err(ActionError::internal)?))
        }
        Charged::Late { newer } => Err(ActionError::rejected(
            409,
            "late-order",
            "Late order",
            format!("The ledger was written under the fencing token {newer} since"),
        )),
    }
}
