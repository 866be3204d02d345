package import Models
package import Numerics

/// y = silu(gate) ⊙ up (Shazeer, GLU Variants Improve Transformer, 2020).
///
/// The gate's coordinates may only be permuted; those of `up` go through the same permutation (its space has the form
/// `sameOrder`), each with a sign of its own, which the product carries on.
package struct GatedLayer: Layer {
  package let name: String
  package let constraints: [SpaceConstraint]
  package let inputs: [Int]
  package let output: Int

  package var parameters: [ParameterSpecification] { [] }
  package var keptColumns: Int { 0 }
  package var valuesReadBackward: [Int] { inputs }

  /// The output is in the space of `up`.
  init(name: String, gate: Int, _ gateValue: ModelValue, up: Int, _ upValue: ModelValue, to output: Int) {
    self.name = name
    inputs = [gate, up]
    self.output = output
    constraints = [
      SpaceConstraint(space: gateValue.space, largest: .permutation, reason: "silu of the gate of \(name)"),
      SpaceConstraint(space: upValue.space, largest: .signedPermutation, reason: "product with the gate of \(name)"),
    ]
  }

  package func forward<Element: ActivationElement>(_ pass: ForwardPass<Element>) {
    guard let gate = pass.inputs.first.flatMap(Element.view), let up = pass.inputs.last.flatMap(Element.view),
      let output = Element.view(pass.output)
    else { return }
    pass.workers.performOverRows(output) { rows in
      Element.gate(gate.rows(rows), up.rows(rows), into: output.rows(rows))
    }
  }

  package func backward<Element: ActivationElement>(_ pass: BackwardPass<Element>) -> Double {
    guard let gate = pass.inputs.first.flatMap(Element.view), let up = pass.inputs.last.flatMap(Element.view),
      let gradient = Element.view(pass.outputGradient), pass.inputGradients.count == 2
    else { return 0 }
    let (gateGradient, upGradient) = (pass.inputGradients[0], pass.inputGradients[1])
    let (gateView, upView) = (
      gateGradient.flatMap { Element.view($0.view) }, upGradient.flatMap { Element.view($0.view) }
    )
    pass.workers.performOverRows(gradient) { rows in
      Element.gateBackward(
        gradient.rows(rows), gate: gate.rows(rows), up: up.rows(rows), gateGradient: gateView?.rows(rows),
        gateAccumulates: gateGradient?.accumulates ?? false, upGradient: upView?.rows(rows),
        upAccumulates: upGradient?.accumulates ?? false)
    }
    return 0
  }
}
