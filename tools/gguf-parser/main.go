// Prints, as JSON, what gguf-parser-go estimates of one llama-server's memory on a card, in bytes.
package main

import (
	"encoding/json"
	"flag"
	"log"
	"os"

	parser "github.com/gpustack/gguf-parser-go"
)

var cacheTypes = map[string]parser.GGMLType{
	"f16":  parser.GGMLTypeF16,
	"bf16": parser.GGMLTypeBF16,
	"q8_0": parser.GGMLTypeQ8_0,
	"q4_0": parser.GGMLTypeQ4_0,
}

func main() {
	model := flag.String("model", "", "the weights")
	projector := flag.String("mmproj", "", "the projector; left out: none")
	context := flag.Int("ctx-size", 4096, "tokens, over all slots")
	ubatch := flag.Int("ubatch-size", 512, "tokens computed at once")
	slots := flag.Int("parallel", 1, "requests answered at once")
	cacheType := flag.String("cache-type", "f16", "of keys and values")
	imageSize := flag.Int("image-size", 0, "side of the largest picture, in px; 0: the library's own")
	flag.Parse()
	log.SetFlags(0)

	options := []parser.GGUFRunEstimateOption{
		parser.WithFlashAttention(),
		parser.WithLLaMACppOffloadLayers(999),
		parser.WithLLaMACppContextSize(int32(*context)),
		parser.WithLLaMACppPhysicalBatchSize(int32(*ubatch)),
		parser.WithParallelSize(int32(*slots)),
		parser.WithLLaMACppCacheKeyType(cacheTypes[*cacheType]),
		parser.WithLLaMACppCacheValueType(cacheTypes[*cacheType]),
	}
	if *imageSize > 0 {
		options = append(options, parser.WithLLaMACppVisualMaxImageSize(uint32(*imageSize)))
	}
	card := onCard(*model, options)
	said := map[string]uint64{
		"weights":  uint64(card.Weight.Sum()),
		"kv_cache": uint64(card.KVCache.Sum()),
		"compute":  uint64(card.Computation.Sum()),
	}
	if *projector != "" {
		card = onCard(*projector, options)
		said["projector"] = uint64(card.Weight.Sum())
		said["vision_compute"] = uint64(card.Computation.Sum())
	}
	if err := json.NewEncoder(os.Stdout).Encode(said); err != nil {
		log.Fatal(err)
	}
}

// onCard estimates a file and returns what is on the first GPU; device 0 is the host.
func onCard(path string, options []parser.GGUFRunEstimateOption) parser.LLaMACppRunDeviceUsage {
	file, err := parser.ParseGGUFFile(path)
	if err != nil {
		log.Fatalf("%s: %v", path, err)
	}
	return file.EstimateLLaMACppRun(options...).Devices[1]
}
