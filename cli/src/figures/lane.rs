//! What a lane costs with each arity of its searches.

use trestle_bridge::lane::ArityCost;
use trestle_bridge::parameters::BridgeParameters;
use trestle_bridge::transactions::{LanePlace, RunGraph};
use trestle_taptree_trace::lane::Arity;

use super::FiguresError;
use super::secrets::Secrets;

/// A lane of a bridge with the delays of the main network, with other arities than it has.
pub struct LaneCosts {
    /// The parameters.
    pub parameters: BridgeParameters,
    /// A row for each arity.
    pub rows: Vec<ArityCost>,
}

impl LaneCosts {
    /// Reckons them, in a second or two.
    ///
    /// # Errors
    /// If a lane cannot be built, which is a bug.
    pub fn reckon(arities: &[Arity]) -> Result<Self, FiguresError> {
        let secrets = Secrets::with(BridgeParameters::mainnet)?;
        let run = RunGraph::build(&secrets.bridge, secrets.run(1))?;
        let at = LanePlace { slot: 0, challenger: 0 };
        let (lane, graph) = run.lane(&secrets.bridge, at, &secrets.lane_keys(0, 0))?;
        let slot = run.slots.first().ok_or_else(|| FiguresError::Unexpected("a run without slots".into()))?;
        let rows = arities.iter().map(|arity| graph.cost_with(slot, &lane, *arity)).collect::<Result<_, _>>()?;
        Ok(Self { parameters: secrets.bridge.parameters, rows })
    }
}
