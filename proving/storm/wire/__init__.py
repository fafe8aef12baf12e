"""The wire profile: the real adapters over the simulator's wire formats, on the stage of the stories, with random faults.

    app      `UseCases` as `wiring` composes them, with the Azure SDKs and signed commands; one or two hosts
    ARM      `simulator`, at Azure's own pace
    NVAs     the agent's command endpoint, duties, checks and reports; heartbeats are looked up (`proving.stories.nva`)

Time is virtual: a seed gives the same history. Safety is looked at after every callback of the event loop, then
everything heals and must come to rest within the product's own bounds. Not here: crash points and most faults
(`proving.storm`), TLS, heartbeats as packets, real processes (`lab.stack`).
"""
