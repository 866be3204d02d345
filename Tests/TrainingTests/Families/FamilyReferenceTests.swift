import Families
import Files
import Foundation
import Models
import Numerics
import TestSupport
import Testing

@testable import OwnerRole
@testable import Training

/// Checkpoints as the transformers library writes them, read, embedded and trained as jobs do, without masks: logits, every gradient and ten
/// losses of plain SGD against the library's own.
@Suite struct FamilyReferenceTests {
  static let names = [
    "bert", "roberta", "xlm-roberta-tokens", "camembert", "distilbert", "distilbert-tokens", "electra",
    "electra-tokens",
  ]

  private func loss<Element: FloatingElement>(
    _ outputs: [Element], _ labels: [Int32]
  ) throws -> (loss: Double, gradient: [Element]) {
    let count = Double(labels.count { $0 >= 0 })
    let result = try LossFunction(task: .tokenClassification).evaluate(
      outputs: Tensor(outputs, shape: [labels.count, outputs.count / labels.count]), targets: .classes(labels),
      normalizer: count)
    return (result.lossSum / count, result.gradient.elements)
  }

  /// Runs the ten steps; `check` gets the first.
  private func train<Element: FloatingElement>(
    _ wanted: FamilyReference, _: Element.Type, check: (Model, ModelHarness<Element>.Result) throws -> Void
  ) throws -> [Double] {
    let model = Model(wanted.graph)
    let samples = try wanted.samples(in: TemporaryDirectory())
    let embedding: TokenEmbedding<Element> = try wanted.model.embedding()
    let inputs = embedding.vectors(Array(samples.joined()), workers: Workers(threads: 2))
    let weights = CheckpointWeights(model: wanted.model, adapters: nil)
    var parameters = try model.structure.parameters.map { specification -> [Element] in
      let tensor: Tensor<Element> = try weights.tensor(specification)
      #expect(tensor.shape == specification.shape, "\(specification.name)")
      return tensor.elements
    }
    let harness = ModelHarness<Element>(model: model, sequences: wanted.layout(samples))
    var losses: [Double] = []
    for step in wanted.numbers.losses.indices {
      let result = harness.run(inputs: inputs.elements.map { Double($0) }, parameters: parameters) { outputs in
        let (value, gradient) = (try? loss(outputs, wanted.numbers.labels)) ?? (.nan, outputs)
        losses.append(value)
        return gradient
      }
      if step == 0 { try check(model, result) }
      for (index, gradient) in result.gradients.enumerated() {
        guard let gradient else { continue }
        for entry in gradient.indices { parameters[index][entry] -= Element(wanted.numbers.rate) * gradient[entry] }
      }
    }
    return losses
  }

  private func expectClose<Element: FloatingElement>(
    _ found: [Element], _ wanted: [Double], relative: Double, absolute: Double, _ name: String
  ) {
    let scale = wanted.map(abs).max() ?? 0
    let difference = zip(found, wanted).map { abs(Double($0) - $1) }.max() ?? .infinity
    #expect(found.count == wanted.count && difference <= max(relative * scale, absolute), "\(name): \(difference)")
  }

  /// The bounds are those of `TransformerTrajectoryTests`, derived there. Gradients that are 0 in exact arithmetic (a key's bias) are
  /// compared with the others' size.
  @Test(arguments: names) func isTheLibrarysInDouble(_ name: String) throws {
    let wanted = try FamilyReference(name)
    let losses = try train(wanted, Double.self) { model, result in
      expectClose(result.outputs, try wanted.tensor("logits"), relative: 1e-9, absolute: 0, "logits")
      var names = wanted.gradientNames
      for (parameter, gradient) in zip(model.structure.parameters, result.gradients) {
        guard let gradient else { continue }
        expectClose(
          gradient, try wanted.tensor("gradient/\(parameter.name)"), relative: 1e-9, absolute: 1e-11, parameter.name)
        names.remove(parameter.name)
      }
      #expect(names.isEmpty, "not in the model: \(names.sorted())")
    }
    #expect(losses.count == wanted.numbers.losses.count)
    for (found, expected) in zip(losses, wanted.numbers.losses) { #expect(abs(found - expected) <= 1e-9 * expected) }
  }

  /// The promise to users, in the precision that they train in.
  @Test(arguments: names) func isTheLibrarysInSingle(_ name: String) throws {
    let wanted = try FamilyReference(name)
    let losses = try train(wanted, Float.self) { _, result in
      expectClose(result.outputs, try wanted.tensor("logits"), relative: 1e-4, absolute: 0, "logits")
    }
    for (found, expected) in zip(losses, wanted.numbers.losses) { #expect(abs(found - expected) <= 1e-4 * expected) }
  }
}
