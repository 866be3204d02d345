import Architecture
import Exposure
import Foundation
import JobSpec
import OwnerSession
import Tensors
import Testing

/// The evidence of an audit is what the job's trainer would get, and the truth fits it row by row.
@Suite struct EvidenceTests {
  private let workers = Workers(threads: 2)

  private func evidence(_ job: ResolvedJob) throws -> Evidence {
    let prepared = try PreparedJob(job: job, secret: OrderSecret(ephemeralWithSeed: 1))
    return try EvidenceCollection(prepared: prepared, workers: workers).collect { _, _ in }
  }

  /// Single precision: a row of some ten numbers of size 1 is kept to 1e-6 or so.
  private func expectMasked(_ evidence: Evidence) {
    #expect(largestDeviation(evidence.masked, evidence.truth) < 1e-5)
    #expect(largestDeviation(evidence.control, evidence.controlTruth) < 1e-5)
  }

  /// Of the rows that arrive from the key's images of the true ones.
  private func largestDeviation(_ view: ProviderView, _ truth: OwnerTruth) -> Double {
    let rows: Tensor<Double> = truth.rows.converted()
    let (width, columns) = (view.inputs.columns, truth.inputKey.columns)
    #expect(view.inputs.rows == rows.rows)
    #expect(truth.inputKey.shape == [width, columns])
    var largest = 0.0
    for row in 0..<rows.rows {
      for place in 0..<width {
        var sum = columns > rows.columns ? truth.inputKey[place * columns + rows.columns] : 0
        for column in 0..<rows.columns {
          sum += truth.inputKey[place * columns + column] * rows[row * rows.columns + column]
        }
        largest = max(largest, abs(sum - Double(view.inputs[row * width + place])))
      }
    }
    return largest
  }

  private func isIdentity(_ key: Tensor<Double>) -> Bool {
    (0..<key.count).allSatisfy { key[$0] == ($0 / key.columns == $0 % key.columns ? 1 : 0) }
  }

  @Test(arguments: [MaskingStrength.rotation, .permutation])
  func rowsAreTheKeysImages(_ strength: MaskingStrength) throws {
    let directory = try TemporaryDirectory()
    let found = try evidence(
      SmallJob().changing { $0.strength = strength }.resolved(on: SmallData(in: directory, rows: 44)))
    expectMasked(found)
    #expect(!isIdentity(found.truth.inputKey))
    #expect(isIdentity(found.controlTruth.inputKey))
    #expect(found.truth.rows == found.controlTruth.rows)
    #expect(found.masked.initialWeights != found.masked.finalWeights)
    #expect(found.masked.outputs.rows == found.masked.inputs.rows)
    #expect(found.knowledge.baseWeights == nil)
  }

  /// The control is of the clean rows, so that what an attack reaches there is what the data allow; the masked rows have the noise.
  @Test func theControlHasNoNoise() throws {
    let directory = try TemporaryDirectory()
    let vectors = try evidence(
      SmallJob().changing { $0.noise = 0.5 }.resolved(on: SmallData(in: directory, rows: 44)))
    let tokens = try evidence(
      TokenJob().changing {
        $0.family = .bert
        $0.noise = 0.5
      }.resolved(on: TokenData(in: directory)))
    for found in [vectors, tokens] {
      #expect(largestDeviation(found.control, found.controlTruth) < 1e-5)
      // Of hundreds of Gaussian numbers of deviation a half, one in 22 is beyond 1.
      #expect(largestDeviation(found.masked, found.truth) > 1)
      #expect(found.truth.rows == found.controlTruth.rows)
    }
  }

  /// Tokens come in the same order in both, and an attack is told the same of the keys: nothing differs but the masking.
  @Test func theControlIsTheSameJob() throws {
    let directory = try TemporaryDirectory()
    let job = try TokenJob().changing { $0.family = .bert }.resolved(on: TokenData(in: directory))
    let found = try evidence(job)
    #expect(found.truth.tokens == found.controlTruth.tokens)
    #expect(found.truth.positions == found.controlTruth.positions)
    #expect(found.control.groups == found.masked.groups)
    #expect(found.control.groups.values.contains { $0 != .trivial })
  }

  /// A quarter of all rows at least is what the public may have, and none of those is in the view.
  @Test func thePublicSampleIsNotInTheView() throws {
    let directory = try TemporaryDirectory()
    let found = try evidence(SmallJob().resolved(on: SmallData(in: directory, rows: 44)))
    func rows(_ tensor: Tensor<Float>) -> Set<[Float]> {
      Set((0..<tensor.rows).map { tensor.slice(rows: $0..<$0 + 1).elements })
    }
    #expect(rows(found.truth.rows).isDisjoint(with: rows(found.knowledge.sampleRows)))
    #expect(found.knowledge.sampleRows.rows >= 11)
  }

  @Test func lossAtTheTrainerShowsMaskedLabelsInstead() throws {
    let directory = try TemporaryDirectory()
    let found = try evidence(
      SmallJob().changing { $0.loss = .trainer }.resolved(on: SmallData(in: directory, rows: 44)))
    guard case .classes(let ids) = found.masked.targets, case .classes(let truth) = found.truth.labels else {
      Issue.record("no class ids")
      return
    }
    #expect(ids.count == truth.count)
    // A renumbering: as many classes, and equal where the true ones are equal.
    #expect(Set(zip(ids, truth).map { "\($0) \($1)" }).count == Set(truth).count)
  }

  @Test func shadowsScoreEveryCandidate() throws {
    let directory = try TemporaryDirectory()
    let found = try evidence(SmallJob().resolved(on: SmallData(in: directory, rows: 120)))
    let shadows = try #require(found.shadows)
    let scores = try shadows.scores(trainedOn: (0..<shadows.candidates).map { $0 % 2 == 0 }, model: 3)
    #expect(scores.shape == [shadows.candidates, 1])
    #expect(scores.elements.allSatisfy { $0.isFinite })
    #expect(Set(scores.elements).count > 1)
  }

  /// Tokens come in their secret order with their ids, and the public has the checkpoint's weights but not the fresh head.
  @Test(arguments: [TransformerFamily.bert, .llama])
  func tokensAreTheKeysImagesInTheOrderSent(_ family: TransformerFamily) throws {
    let directory = try TemporaryDirectory()
    let job = try TokenJob().changing { $0.family = family }.resolved(on: TokenData(in: directory))
    let found = try evidence(job)
    expectMasked(found)
    let tokens = try #require(found.truth.tokens)
    let vocabulary = try #require(found.knowledge.vocabulary)
    #expect(tokens.count == found.masked.inputs.rows)
    #expect(found.masked.lengths?.reduce(0, +) == Int32(tokens.count))
    if family == .llama {
      // A decoder's token vector is the word's alone.
      let width = vocabulary.words.columns
      #expect(
        tokens.indices.allSatisfy { row in
          (0..<width).allSatisfy {
            found.truth.rows[row * width + $0] == vocabulary.words[Int(tokens[row]) * width + $0]
          }
        })
    }
    let weights = try #require(found.knowledge.baseWeights)
    let origins = zip(found.masked.parameters, weights)
    #expect(
      origins.allSatisfy { specification, tensor in
        specification.origin == .pretrained || tensor.elements.allSatisfy { $0 == 0 }
      })
    #expect(origins.contains { specification, _ in specification.origin != .pretrained })
    #expect(found.shadows == nil)
  }
}
