import Testing

@testable import Tensors

@Suite struct OpenBLASTests {
  @Test func aForcedNarrowKernelIsNamedWithItsVariable() throws {
    let advice = try #require(OpenBLAS.advice(kernel: "Haswell", widestVector: .bits512, forced: "Haswell"))
    #expect(advice.contains("OPENBLAS_CORETYPE=Haswell"))
    #expect(advice.contains("512"))
  }

  @Test func anOldLibraryIsNamedWhenNothingIsForced() throws {
    let advice = try #require(OpenBLAS.advice(kernel: "Nehalem", widestVector: .bits256, forced: nil))
    #expect(advice.contains("newer OpenBLAS"))
  }

  @Test func aKernelThatFitsNeedsNoAdvice() {
    #expect(OpenBLAS.advice(kernel: "SkylakeX", widestVector: .bits512, forced: nil) == nil)
    #expect(OpenBLAS.advice(kernel: "Haswell", widestVector: .bits256, forced: "Haswell") == nil)
  }

  @Test func theLoadedKernelHasAName() {
    #expect(!OpenBLAS.kernelName.isEmpty)
  }
}
