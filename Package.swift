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

// Debug builds too optimise what computes: without it most of the tests' time goes into generic code that is not specialised. Assertions
// stay as they are in a debug build.
let optimized: [SwiftSetting] = [.unsafeFlags(["-O", "-assert-config", "Debug"], .when(configuration: .debug))]
let wholeModule: [SwiftSetting] = [
  .unsafeFlags(
    ["-whole-module-optimization", "-num-threads", "2", "-disable-batch-mode"], .when(configuration: .debug))
]

func library(_ name: String, _ dependencies: [Target.Dependency] = [], computes: Bool = false) -> Target {
  .target(
    name: name, dependencies: dependencies, swiftSettings: swiftSettings + (computes ? optimized + wholeModule : []))
}

func program(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
  .executableTarget(name: name, dependencies: dependencies, swiftSettings: swiftSettings)
}

func tests(
  _ name: String, _ dependencies: [Target.Dependency], resources: [Resource]? = nil, computes: Bool = false
) -> Target {
  .testTarget(
    name: name, dependencies: dependencies, resources: resources,
    swiftSettings: swiftSettings + (computes ? optimized : []))
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
    .target(name: "CFaults", cSettings: cSettings),
    .target(name: "CCheckedFile", dependencies: ["CHDF5"], cSettings: cSettings),
    .systemLibrary(name: "CZeroMQ", providers: [.apt(["libzmq3-dev"])]),
    // Empty without the trait, so that no MPI is needed then.
    .target(name: "CMPI", cSettings: [.define("MPI", .when(traits: ["MPI"]))]),
    .systemLibrary(name: "CSodium", pkgConfig: "libsodium", providers: [.apt(["libsodium-dev"])]),
    .systemLibrary(name: "CHDF5", pkgConfig: "hdf5", providers: [.apt(["libhdf5-dev"])]),

    // Level 1
    library("Foundations"),
    library("Cryptography", ["CSodium"], computes: true),

    // Level 2
    library("Numerics", ["CBLAS", "CKernels", "Foundations"], computes: true),
    library("Models", ["Foundations"]),
    library("SecureSums", ["Cryptography", "Foundations"], computes: true),
    library("Privacy", ["Foundations"], computes: true),

    // Level 3
    library("Files", ["Numerics", "Models", "Foundations"]),

    // Level 4
    library("Training", ["Numerics", "Models", "Cryptography", "Foundations"], computes: true),
    library("Masking", ["Models", "Numerics", "Cryptography", "Files", "Foundations"], computes: true),
    library("Datasets", ["Files", "Numerics", "CHDF5", "CCheckedFile", "CFaults", "Foundations"]),
    library("JobSpec", ["Models", "Foundations", yams]),
    library("Protocol", ["Files", "CFaults", "CZeroMQ", "Models", "Numerics", "Foundations"]),
    library(
      "Collectives", [.target(name: "CMPI", condition: .when(traits: ["MPI"])), "Numerics", "Foundations"]),

    library("Families", ["Files", "Models", "Numerics", "Foundations"]),
    library(
      "Federation",
      ["JobSpec", "SecureSums", "Protocol", "Models", "Numerics", "Cryptography", "Files", "Foundations"]),

    // Level 5
    library("Service", ["Files", "Protocol", "Numerics", "Cryptography", "Foundations"]),

    // Level 6
    library(
      "OwnerRole",
      [
        "Families", "Masking", "Training", "Datasets", "Files", "JobSpec", "Protocol", "Privacy", "Models", "Numerics",
        "Cryptography", "Foundations",
      ]),
    library("ServerProgram", ["Service", "Files", "Protocol", "Foundations", arguments, logging]),
    library(
      "TrainerRole",
      [
        "Service", "Training", "Collectives", "Files", "Protocol", "Models", "Numerics", "Cryptography", "Foundations",
      ]),
    library(
      "AggregatorRole",
      [
        "Service", "Federation", "SecureSums", "JobSpec", "Protocol", "Files", "Models", "Numerics", "Cryptography",
        "Foundations",
      ], computes: true),

    // Level 7
    library(
      "SiteRole",
      [
        "OwnerRole", "Federation", "SecureSums", "Privacy", "Families", "Masking", "Training", "Datasets", "Files",
        "JobSpec", "Protocol", "Models", "Numerics", "Cryptography", "Foundations",
      ]),
    library(
      "LeakAudit",
      [
        "OwnerRole", "Families", "Masking", "Training", "Datasets", "Files", "JobSpec", "Protocol", "Models",
        "Numerics",
        "Cryptography", "Foundations",
      ], computes: true),

    // Level 8
    program(
      "encryptor",
      [
        "LeakAudit", "SiteRole", "AggregatorRole", "OwnerRole", "Federation", "SecureSums", "Privacy", "Service",
        "Masking", "Training", "Datasets", "Files", "JobSpec", "Protocol", "Models", "Numerics", "Cryptography",
        "Foundations", arguments,
      ]),
    program(
      "trainer",
      [
        "TrainerRole", "ServerProgram", "Service", "Collectives", "Protocol", "Numerics", "Foundations", arguments,
        logging,
      ]),
    program(
      "aggregator",
      [
        "AggregatorRole", "ServerProgram", "Service", "Federation", "JobSpec", "Protocol", "Cryptography",
        "Foundations",
        arguments, logging,
      ]),
    program(
      "benchmarks",
      [
        "SiteRole", "OwnerRole", "Federation", "SecureSums", "Protocol", "JobSpec", "Masking", "Training", "Datasets",
        "Files",
        "Models", "Numerics", "Foundations", arguments,
      ]),
    program(
      "fuzz",
      [
        "OwnerRole", "Masking", "Federation", "SecureSums", "Cryptography", "Families", "Training", "Protocol",
        "JobSpec", "Files", "Models",
        "Numerics", "Foundations",
      ]),

    // Tests, and what several of them use
    .target(
      name: "TestSupport", dependencies: ["Families", "Protocol", "Datasets", "Files", "Numerics"],
      path: "Tests/TestSupport",
      swiftSettings: swiftSettings),
    tests("FoundationsTests", ["Foundations"]),
    tests("CryptographyTests", ["Cryptography"]),
    tests("SecureSumsTests", ["SecureSums", "Cryptography", "Foundations"]),
    tests("ModelsTests", ["Models"]),
    tests("NumericsTests", ["Numerics", "CKernels"]),
    tests("PrivacyTests", ["Privacy"]),
    tests("FilesTests", ["Files", "Numerics", "Models", "Foundations", "TestSupport"]),
    tests("FamiliesTests", ["Families", "Protocol", "Files", "Numerics", "Models", "Foundations", "TestSupport"]),
    tests(
      "TrainingTests",
      [
        "OwnerRole", "Families", "Datasets", "JobSpec", "Files", "Training", "Privacy", "Protocol", "Cryptography",
        "Numerics", "Models", "Foundations", "TestSupport",
      ],
      resources: [.copy("Fixtures")]),
    tests("MaskingTests", ["Masking", "Models", "Numerics", "Cryptography", "Foundations"], computes: true),
    tests("DatasetsTests", ["Datasets", "Files", "Numerics", "CHDF5", "Foundations", "TestSupport"]),
    tests("JobSpecTests", ["JobSpec", "Models", "Foundations"]),
    tests("ProtocolTests", ["Protocol", "Numerics", "Models", "Foundations", "TestSupport"]),
    tests("ServiceTests", ["Service", "Files", "Protocol", "Foundations", "TestSupport"]),
    tests(
      "AggregatorTests",
      [
        "AggregatorRole", "Service", "Federation", "SecureSums", "JobSpec", "Protocol", "Files", "Models", "Numerics",
        "Cryptography", "Foundations", "TestSupport",
      ]),
    tests("CollectivesTests", ["Collectives", "Numerics", "Foundations"]),
    tests(
      "LeakAuditTests",
      [
        "LeakAudit", "OwnerRole", "Families", "Files", "JobSpec", "Protocol", "Masking", "Training", "Models",
        "Numerics",
        "Cryptography", "Foundations", "TestSupport",
      ]),
    tests(
      "SiteTests",
      [
        "SiteRole", "AggregatorRole", "TrainerRole", "Service", "Federation", "SecureSums", "Privacy", "OwnerRole",
        "Masking", "Training", "Datasets", "Files", "JobSpec", "Protocol", "Models", "Numerics", "Cryptography",
        "Foundations", "TestSupport",
      ]),
    tests(
      "SessionTests",
      [
        "OwnerRole", "TrainerRole", "Service", "LeakAudit", "Families", "Masking", "Training", "Collectives",
        "Datasets", "Files",
        "JobSpec", "Protocol", "Models", "Numerics", "Cryptography", "Foundations", "TestSupport",
      ]),
    // The programs themselves as a person would start them; Datasets only writes their input and Protocol what neither program says.
    tests(
      "ProgramTests",
      ["Datasets", "CHDF5", "Protocol", "Foundations", "TestSupport", "encryptor", "trainer", "aggregator"]),
  ]
)
