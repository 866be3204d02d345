import Models
import Testing

@testable import Numerics
@testable import Training

/// Values that several products read are packed once for all of them.
@Suite struct SharedPackingTests {
  /// The same products, of operands that each of them packs for itself.
  private struct Unshared: ProductLibrary {
    let kernels: PackedKernels

    func multiply(_ product: MatrixProduct<Float>, _ precision: ProductPrecision) {
      kernels.multiply(product, precision)
    }

    func multiply(_ product: MatrixProduct<Double>, _ precision: ProductPrecision) {
      kernels.multiply(product, precision)
    }
  }

  private func computes(_ kernels: PackedKernels, _ precision: ProductPrecision) -> [Compute] {
    [kernels as any ProductLibrary, Unshared(kernels: kernels)].map {
      Compute(workers: Workers(threads: 2), library: $0, precision: precision)
    }
  }

  @Test(arguments: ["bert", "llama", "lora"], [false, true])
  func bitsAreThoseOfLayersThatPackForThemselves(_ name: String, _ recomputes: Bool) throws {
    let fixture = try BFloat16Fixture.read.get()
    let run = try #require(fixture.runs(name, .adamw).first)
    for (kernels, precision) in [
      (PackedKernels(), ProductPrecision.bfloat16), (PackedKernels(emulating: .avx512BFloat16), .bfloat16),
      (PackedKernels(emulating: .amx), .bfloat16x3),
    ] {
      for part in [3, nil] {
        let engines = try computes(kernels, precision).map {
          try fixture.engine(run, Float.self, compute: $0, recomputes: recomputes, partRows: part)
        }
        for engine in engines {
          for _ in 0..<2 { try fixture.step(engine, run, part: part) }
        }
        #expect(EngineHarness.bits(engines[0]) == EngineHarness.bits(engines[1]), "\(precision)")
      }
    }
  }

  @Test(arguments: [Decoder.groupedHeads, .lowRank, .withoutRotary])
  func sessionsHaveTheSameBits(_ decoder: Decoder) throws {
    typealias Harness = GenerationHarness<Float>
    let graph = try decoder.graph(width: Harness.width, outputs: Harness.outputs, maximumTokens: 300)
    let session = Harness.session(1, tokens: 150)
    let results = try computes(PackedKernels(), .bfloat16).map { compute in
      let hosted = try HostedModel<Float>(graph, compute: compute, parameters: Harness.parameters(graph))
      let cache = try hosted.makeCache(capacity: 200)
      return try [0..<130, 130..<131, 131..<150].map {
        try hosted.extend([(cache, session.slice(rows: $0))]).elements.map(\.bitPattern)
      }
    }
    #expect(results[0] == results[1])
  }

  private func packed(_ name: String, _ compute: Compute) throws -> [MatrixShape] {
    let fixture = try BFloat16Fixture.read.get()
    let run = try #require(fixture.runs(name, .sgd).first)
    let optimizer = OptimizerDescription(
      kind: .sgd, learningRate: run.learningRate, momentum: 0, nesterov: false, weightDecay: 0, clipNorm: nil)
    let settings = try EngineSettings(
      Model(fixture.graph(name)), optimizer: optimizer, batchRows: 8, partRows: 8)
    let plan = settings.plan(ActivationStorage(compute, Float.self))
    #expect(plan.partShapes.allSatisfy { $0.packed == nil })
    return plan.workingShapes.filter { $0.packed != nil }
  }

  /// One value at a time is packed, for a forward pass as rows and for a backward pass as columns: what query, key and value read, then what gate and
  /// up do. In the encoder's last block, whose queries are the pooled token's alone, key and value are left.
  @Test func thePlanHasRoomForOneValueAtATime() throws {
    let compute = Compute(workers: Workers(threads: 1), library: PackedKernels(path: .portable), precision: .bfloat16)
    let form = try #require(compute.packedForm)
    for name in ["bert", "llama"] {
      let shapes = try packed(name, compute)
      #expect(shapes.allSatisfy { $0.columns == 64 && $0.domain == .tokens || name == "llama" }, "\(shapes)")
      #expect(shapes.count { $0.packed == .rows(form) && $0.domain == .tokens } == 1, "\(name)")
      #expect(shapes.count { $0.packed == .columns(form) && $0.domain == .tokens } == 1, "\(name)")
    }
    // An adapter's two products beside its base's: forward three inputs that are read more than once, and back A of query and value.
    let adapted = try packed("lora", compute)
    #expect(adapted.contains { $0.packed == .rows(form) } && adapted.contains { $0.packed == .columns(form) })
    #expect(try packed("bert", Compute(threads: 1)).isEmpty)
  }

  @Test func theEstimateCountsIt() throws {
    let fixture = try BFloat16Fixture.read.get()
    let optimizer = OptimizerDescription(
      kind: .sgd, learningRate: 0.1, momentum: 0, nesterov: false, weightDecay: 0, clipNorm: nil)
    let settings = try EngineSettings(Model(fixture.graph("bert")), optimizer: optimizer, batchRows: 8, partRows: 8)
    let estimates = computes(PackedKernels(path: .portable), .bfloat16).map {
      TrainingEngine<Float>.memoryEstimate(settings, $0) ?? 0
    }
    let form = try #require(computes(PackedKernels(path: .portable), .bfloat16)[0].packedForm)
    let weights = PackedWeights.byteCount(
      settings.model, flow: settings.flow, trains: true, computes(PackedKernels(path: .portable), .bfloat16)[0],
      Float.self)
    let rows = try #require(settings.largestPass)
    let shared = try packed("bert", computes(PackedKernels(path: .portable), .bfloat16)[0]).map {
      ($0.packed == .rows(form)
        ? form.rowsBytes(rows: rows[$0.domain], depth: $0.columns)
        : form.matrixBytes(depth: rows[$0.domain], columns: $0.columns)) ?? 0
    }.reduce(0, +)
    #expect(shared > 0 && estimates[0] - estimates[1] == shared + (weights ?? 0))
  }
}
