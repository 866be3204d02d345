import Testing

@testable import Numerics

/// Which kernel of OpenBLAS a program takes: by the processor's features where OpenBLAS's table of models fails, never against the user.
@Suite struct KernelChoiceTests {
  private static let skylake: ProcessorFeatures = [.avx2, .avx512]

  private static let misses: [(ProcessorFeatures, String, KernelChoice.Decision)] = [
    // A server processor of 2023 that the table lacks; one without AVX-512; one that has neither.
    (skylake, "Prescott", .restart(kernel: "SkylakeX")),
    ([.avx2], "Nehalem", .restart(kernel: "Haswell")),
    ([], "Prescott", .keep(.library)),
    // Narrower than the processor's vectors, if not by as much.
    (skylake, "Zen", .restart(kernel: "SkylakeX")),
    // Kernels that use what there is are the library's to choose, even those not known here.
    (skylake, "SkylakeX", .keep(.library)),
    (skylake, "Cooperlake", .keep(.library)),
    (skylake, "kernel-of-2040", .keep(.library)),
    ([.avx2], "Haswell", .keep(.library)),
    ([.avx2], "Zen", .keep(.library)),
  ]

  @Test(arguments: misses)
  func aProcessorThatTheTableLacksGetsTheKernelOfItsFeatures(
    _ features: ProcessorFeatures, _ libraryKernel: String, _ expected: KernelChoice.Decision
  ) {
    #expect(KernelChoice.decide(features: features, libraryKernel: libraryKernel, environment: [:]) == expected)
    let empty = ["OPENBLAS_CORETYPE": "", "EQUIVARIANT_KERNEL_ORIGIN": ""]
    #expect(KernelChoice.decide(features: features, libraryKernel: libraryKernel, environment: empty) == expected)
  }

  @Test(arguments: ["Prescott", "Haswell", "prescott", "nonsense"])
  func whatTheUserSetIsKept(_ forced: String) {
    for origin in [nil, "", "SkylakeX instead of Prescott", "Haswel"] {
      var environment = ["OPENBLAS_CORETYPE": forced]
      environment["EQUIVARIANT_KERNEL_ORIGIN"] = origin
      let decision = KernelChoice.decide(
        features: Self.skylake, libraryKernel: "Prescott", environment: environment)
      #expect(decision == .keep(.user(forced)))
    }
  }

  /// Even when the library did not do as it was told.
  @Test(arguments: ["SkylakeX", "Prescott"])
  func aRestartedProgramRestartsNoMore(_ libraryKernel: String) {
    let environment = [
      "OPENBLAS_CORETYPE": "SkylakeX", "EQUIVARIANT_KERNEL_ORIGIN": "SkylakeX instead of Prescott",
    ]
    let decision = KernelChoice.decide(
      features: Self.skylake, libraryKernel: libraryKernel, environment: environment)
    #expect(decision == .keep(.features(insteadOf: "Prescott")))
  }

  @Test func theSummaryNamesTheKernelAndWhoChoseIt() {
    func summary(_ kernel: String, _ environment: [String: String]) -> String {
      KernelChoice(kernel: kernel, features: Self.skylake, environment: environment).summary
    }
    #expect(summary("Cooperlake", [:]) == "Cooperlake")
    #expect(summary("Haswell", ["OPENBLAS_CORETYPE": "haswell"]) == "Haswell, set by OPENBLAS_CORETYPE")
    let restarted = ["OPENBLAS_CORETYPE": "SkylakeX", "EQUIVARIANT_KERNEL_ORIGIN": "SkylakeX instead of Prescott"]
    #expect(
      summary("SkylakeX", restarted) == "SkylakeX, chosen by the processor's features instead of Prescott")
  }

  @Test func aForcedNarrowKernelIsNamedWithItsVariable() throws {
    let choice = KernelChoice(
      kernel: "Haswell", features: Self.skylake, environment: ["OPENBLAS_CORETYPE": "Haswell"])
    let advice = try #require(choice.advice)
    #expect(advice.contains("OPENBLAS_CORETYPE=Haswell"))
    #expect(advice.contains("512"))
  }

  @Test func anOldLibraryIsNamedWhenNothingIsForced() throws {
    let choice = KernelChoice(kernel: "Nehalem", features: [.avx2], environment: [:])
    #expect(try #require(choice.advice).contains("newer OpenBLAS"))
  }

  @Test func aKernelThatFitsNeedsNoAdvice() {
    #expect(KernelChoice(kernel: "SkylakeX", features: Self.skylake, environment: [:]).advice == nil)
    let forced = KernelChoice(kernel: "Haswell", features: [.avx2], environment: ["OPENBLAS_CORETYPE": "Haswell"])
    #expect(forced.advice == nil)
  }

  @Test func theLoadedKernelHasAName() {
    #expect(!OpenBLAS.kernelName.isEmpty)
  }

  @Test func theLoadedKernelMultipliesRightly() throws {
    try ProductCheck.run()
  }

  /// 2 × 3 by 3 × 2 by hand, then one element wrong, not a number, or two swapped.
  @Test func aWrongProductIsFound() {
    let a: [Float] = [1, 2, 3, 4, 5, 6]
    let b: [Float] = [1, -1, 0, 2, 1, 1]
    let right: [Float] = [4, 6, 10, 12]
    func isProduct(_ c: [Float]) -> Bool { ProductCheck.isProduct(a, b, c, n: 2, k: 3, tolerance: 1e-4) }
    #expect(isProduct(right))
    for index in right.indices {
      var wrong = right
      wrong[index] += 0.01
      #expect(!isProduct(wrong))
      wrong[index] = .nan
      #expect(!isProduct(wrong))
    }
    #expect(!isProduct([6, 4, 10, 12]))
  }
}
