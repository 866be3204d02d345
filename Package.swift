// swift-tools-version: 6.2
// Reads bottom-up by level; a target never depends on one above it or beside it (`make arrows` checks).

import PackageDescription

let swiftSettings: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .treatAllWarnings(as: .error),
]

let cSettings: [CSetting] = [
  // No errno and no traps from arithmetic: loops with a square root or a division can then be vectorised. NaN and
  // infinities keep their meaning.
  .unsafeFlags(["-O3", "-fno-math-errno", "-fno-trapping-math", "-Wall", "-Wextra", "-Werror"])
]

func library(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
  .target(name: name, dependencies: dependencies, swiftSettings: swiftSettings)
}

func program(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
  .executableTarget(name: name, dependencies: dependencies, swiftSettings: swiftSettings)
}

func tests(_ name: String, _ dependencies: [Target.Dependency], resources: [Resource]? = nil) -> Target {
  .testTarget(name: name, dependencies: dependencies, resources: resources, swiftSettings: swiftSettings)
}

let yams = Target.Dependency.product(name: "Yams", package: "Yams")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let arguments = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")

let package = Package(
  name: "equivariant-trainer",
  traits: [
    .trait(
      name: "MPI", description: "The trainer runs as several processes of an MPI job; needs an MPI, see `make mpi`.")
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
  ],
  targets: [
    // Level 0: C
    .systemLibrary(name: "CBLAS", pkgConfig: "openblas", providers: [.apt(["libopenblas-dev"])]),
    .target(name: "CKernels", cSettings: cSettings),
    .systemLibrary(name: "CZeroMQ", providers: [.apt(["libzmq3-dev"])]),
    // Empty without the trait, so that no MPI is needed then.
    .target(name: "CMPI", cSettings: [.define("MPI", .when(traits: ["MPI"]))]),
    .systemLibrary(name: "CSodium", pkgConfig: "libsodium", providers: [.apt(["libsodium-dev"])]),
    .systemLibrary(name: "CHDF5", pkgConfig: "hdf5", providers: [.apt(["libhdf5-dev"])]),

    // Level 1
    library("Failures"),
    library("MonotonicWaits"),
    library("Cryptography", ["CSodium"]),
    library("Tensors", ["CBLAS", "CKernels", "Failures"]),
    library("Architecture", ["Failures"]),

    // Level 2
    library("Training", ["Tensors", "Architecture", "Failures"]),
    library("Wire", ["Tensors", "Architecture", "Failures"]),
    library("Masking", ["Architecture", "Failures", "Tensors", "Cryptography"]),
    library("Transport", ["CZeroMQ", "Failures", "MonotonicWaits"]),
    library(
      "Collectives",
      [.target(name: "CMPI", condition: .when(traits: ["MPI"])), "Tensors", "Failures", "MonotonicWaits"]),
    library("Datasets", ["Tensors", "CHDF5", "Failures"]),
    library("Checkpoints", ["Tensors", "Architecture", "Failures", "MonotonicWaits"]),
    library("JobSpec", ["Architecture", "Failures", yams]),

    // Level 3
    library(
      "OwnerRole",
      [
        "Masking", "Training", "Datasets", "Checkpoints", "JobSpec", "Wire", "Transport", "Architecture", "Tensors",
        "Failures",
      ]),
    library(
      "TrainerSession",
      [
        "Training", "Collectives", "Checkpoints", "Wire", "Transport", "Architecture", "Tensors", "Failures",
        "MonotonicWaits", "Cryptography",
      ]),

    // Level 4
    library(
      "LeakAudit",
      [
        "OwnerRole", "Masking", "Training", "Datasets", "Checkpoints", "JobSpec", "Architecture", "Tensors",
        "Failures", "Cryptography",
      ]),

    // Level 5
    program(
      "encryptor",
      [
        "LeakAudit", "OwnerRole", "Masking", "Training", "Datasets", "Checkpoints", "JobSpec", "Wire",
        "Transport", "Architecture", "Tensors", "Failures", arguments,
      ]),
    program(
      "trainer",
      [
        "TrainerSession", "Checkpoints", "Collectives", "Wire", "Transport", "Tensors", "Failures", arguments, logging,
      ]),
    program("benchmarks", ["Masking", "Training", "Datasets", "Architecture", "Tensors", arguments]),
    program(
      "fuzz", ["Training", "Wire", "Transport", "JobSpec", "Checkpoints", "Architecture", "Tensors", "Failures"]),

    // Tests, and what several of them use
    .target(name: "TestSupport", path: "Tests/TestSupport", swiftSettings: swiftSettings),
    tests("MaskingTests", ["Masking", "Architecture", "Failures", "Tensors", "Cryptography"]),
    tests("CryptographyTests", ["Cryptography"]),
    tests("TensorsTests", ["Tensors", "CKernels"]),
    tests(
      "TrainingTests", ["Training", "Tensors", "Architecture", "Failures"], resources: [.copy("Fixtures")]),
    tests("WireTests", ["Wire", "Tensors", "Architecture", "Failures", "TestSupport"]),
    tests("TransportTests", ["Transport", "TestSupport"]),
    tests("MonotonicWaitsTests", ["MonotonicWaits"]),
    tests("CollectivesTests", ["Collectives", "MonotonicWaits", "Tensors", "Failures"]),
    tests("DatasetsTests", ["Datasets", "Tensors", "CHDF5", "Failures", "TestSupport"]),
    tests("CheckpointsTests", ["Checkpoints", "Tensors", "Architecture", "Failures", "TestSupport"]),
    // The programs themselves, started as a person would; Datasets only writes their input, Wire and Transport what neither program says.
    tests("ProgramTests", ["Datasets", "CHDF5", "Wire", "Transport", "encryptor", "trainer"]),
    tests(
      "LeakAuditTests",
      [
        "LeakAudit", "Checkpoints", "JobSpec", "Masking", "Training", "Architecture", "Tensors", "Failures",
        "TestSupport", "Cryptography",
      ]),
    tests("JobSpecTests", ["JobSpec", "Architecture", "Failures"]),
    tests(
      "SessionTests",
      [
        "OwnerRole", "TrainerSession", "LeakAudit", "Masking", "Training", "Collectives", "Datasets",
        "Checkpoints", "JobSpec", "Wire", "Transport", "Architecture", "Tensors", "Failures", "TestSupport",
      ]),
  ]
)
