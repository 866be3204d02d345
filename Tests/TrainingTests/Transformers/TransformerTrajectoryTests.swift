import Models
import Foundation
import Numerics
import Protocol
import Testing

@testable import Training

/// Whole models against Hugging Face's: logits, loss, every gradient, ten losses of plain SGD.
@Suite struct TransformerTrajectoryTests {
  static let descriptions: [String: TransformerDescription] = {
    func bert(_ width: Int, _ hidden: Int, _ activation: Activation, _ head: TransformerHead, _ trained: TrainedPart)
      -> TransformerDescription
    {
      TransformerDescription(
        family: .bert, width: width, blocks: 2, heads: 4, keyValueHeads: 4, headWidth: width / 4, hidden: hidden,
        activation: activation, normEpsilon: 1e-12, rotary: nil, hasAttentionBiases: true, hasMLPBiases: true,
        head: head, trained: trained, maximumTokens: 12, recomputes: false)
    }
    func llama(
      _ width: Int, _ heads: Int, _ groups: Int, _ hidden: Int, _ hasBiases: Bool, _ head: TransformerHead
    ) -> TransformerDescription {
      let headWidth = width / heads
      return TransformerDescription(
        family: .llama, width: width, blocks: 2, heads: heads, keyValueHeads: groups, headWidth: headWidth,
        hidden: hidden, activation: .silu, normEpsilon: 1e-5,
        rotary: RotaryDescription(
          frequencies: (0..<headWidth / 2).map { pow(10_000, -2 * Double($0) / Double(headWidth)) }),
        hasAttentionBiases: hasBiases, hasMLPBiases: hasBiases, head: head, trained: .all, maximumTokens: 12,
        recomputes: false)
    }
    func head(_ pooling: TokenPooling, pooler: Bool = false, bias: Bool = true) -> TransformerHead {
      TransformerHead(pooling: pooling, hasPooler: pooler, outputs: 3, hasBias: bias, isLanguageModel: false)
    }
    let language = TransformerHead(
      pooling: .none, hasPooler: false, outputs: 50, hasBias: false, isLanguageModel: true)
    let adaptation = LowRankAdaptation(rank: 3, alpha: 6, targets: ["query", "value"])
    return [
      "bert-cls": bert(32, 64, .gelu, head(.cls, pooler: true), .all),
      "bert-mean": bert(16, 24, .gelu, head(.mean), .all),
      "bert-tokens": bert(16, 24, .geluTanh, head(.none), .all),
      "bert-lora": bert(16, 24, .gelu, head(.cls, pooler: true), .lora(adaptation)),
      "llama-causal": llama(32, 4, 2, 48, false, language),
      "llama-causal-biases": llama(16, 4, 1, 24, true, language),
      "llama-last": llama(16, 2, 2, 24, false, head(.last, bias: false)),
    ]
  }()

  private func loss<Element: FloatingElement>(
    _ outputs: [Element], _ wanted: TransformerFixture.Case
  ) throws -> (loss: Double, gradient: [Element]) {
    let count = Double(wanted.labels.count { $0 >= 0 })
    let result = try LossFunction(task: .tokenClassification).evaluate(
      outputs: Tensor(outputs, shape: [wanted.labels.count, outputs.count / wanted.labels.count]),
      targets: .classes(wanted.labels.map { Int32($0) }), normalizer: count)
    return (result.lossSum / count, result.gradient.elements)
  }

  /// Runs the ten steps; `check` gets the first.
  private func train<Element: FloatingElement>(
    _ wanted: TransformerFixture.Case, _: Element.Type, check: (Model, ModelHarness<Element>.Result) throws -> Void
  ) throws -> [Double] {
    let fixture = try TransformerFixture.read.get()
    let description = try #require(Self.descriptions[wanted.name])
    let model = try Model(ModelDescription.transformer(description).graph())
    let inputs = try fixture.tensor("inputs", of: wanted)
    let harness = ModelHarness<Element>(model: model, sequences: wanted.layout(description.head.pooling))
    var parameters = try wanted.parameters(model.structure).map { $0.map { Element($0) } }
    var losses: [Double] = []
    for step in wanted.losses.indices {
      let result = harness.run(inputs: inputs, parameters: parameters) { outputs in
        let (value, gradient) = (try? loss(outputs, wanted)) ?? (.nan, outputs)
        losses.append(value)
        return gradient
      }
      if step == 0 { try check(model, result) }
      for (index, gradient) in result.gradients.enumerated() {
        guard let gradient else { continue }
        for entry in gradient.indices { parameters[index][entry] -= Element(wanted.rate) * gradient[entry] }
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

  /// Every rounding is 1.1e-16, a step has some thousand of them one after the other, and ten steps multiply what has gathered
  /// by less than 100: 1e-11 would do, 1e-9 is the promise. Gradients that are 0 in exact arithmetic (a key's bias) are
  /// compared with the others' size, some 0.1.
  @Test(arguments: descriptions.keys.sorted()) func isHuggingFacesInDouble(_ name: String) throws {
    let fixture = try TransformerFixture.read.get()
    let wanted = try #require(fixture.cases.first { $0.name == name })
    let losses = try train(wanted, Double.self) { model, result in
      expectClose(
        result.outputs, try fixture.tensor("logits", of: wanted), relative: 1e-9, absolute: 0, "logits")
      var names = fixture.gradientNames(of: wanted)
      for (parameter, gradient) in zip(model.structure.parameters, result.gradients) {
        #expect(parameter.isTrained == (gradient != nil))
        guard let gradient else { continue }
        expectClose(
          gradient, try fixture.tensor(parameter.name, of: wanted), relative: 1e-9, absolute: 1e-11, parameter.name)
        names.remove(parameter.name)
      }
      #expect(names.isEmpty, "not in the model: \(names.sorted())")
    }
    for (found, expected) in zip(losses, wanted.losses) { #expect(abs(found - expected) <= 1e-9 * expected) }
  }

  /// The same with roundings of 6e-8: the promise is 1e-4, here of the largest entry of each tensor.
  @Test(arguments: descriptions.keys.sorted()) func isHuggingFacesInSingle(_ name: String) throws {
    let fixture = try TransformerFixture.read.get()
    let wanted = try #require(fixture.cases.first { $0.name == name })
    let losses = try train(wanted, Float.self) { model, result in
      expectClose(
        result.outputs, try fixture.tensor("logits", of: wanted), relative: 1e-4, absolute: 0, "logits")
      for (parameter, gradient) in zip(model.structure.parameters, result.gradients) {
        guard let gradient else { continue }
        expectClose(
          gradient, try fixture.tensor(parameter.name, of: wanted), relative: 1e-4, absolute: 1e-6, parameter.name)
      }
    }
    for (found, expected) in zip(losses, wanted.losses) { #expect(abs(found - expected) <= 1e-4 * expected) }
  }

  @Test(arguments: descriptions.keys.sorted()) func bitsDoNotDependOnThreads(_ name: String) throws {
    let fixture = try TransformerFixture.read.get()
    let wanted = try #require(fixture.cases.first { $0.name == name })
    let description = try #require(Self.descriptions[name])
    let model = try Model(ModelDescription.transformer(description).graph())
    let inputs = try fixture.tensor("inputs", of: wanted)
    let parameters = try wanted.parameters(model.structure).map { $0.map { Float($0) } }
    let results = [1, 2, 3].map { threads in
      ModelHarness<Float>(model: model, sequences: wanted.layout(description.head.pooling), threads: threads).run(
        inputs: inputs, parameters: parameters
      ) { $0 }
    }
    for result in results.dropFirst() {
      #expect(result.outputs == results[0].outputs && result.squares == results[0].squares)
      #expect(result.gradients == results[0].gradients)
    }
  }
}
