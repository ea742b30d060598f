"""Words and names of many languages, as people type them into forms: several hold apostrophes,
accents, and small words that are commands or keywords elsewhere."""

WORDS = {
    "en": "the a of and to in for with on at from by is not or order product summer offer new best guide how account review shipping free blue large home garden kitchen size delivery news team event contact",
    "de": "der die das und oder nicht mit von zu im am für über bei nach aus auch ist ein eine Straße Größe Übersicht Bestellung Produkt Angebot neu Küche Garten Rechnung Lieferung Wohnung Schuhe Bücher Kürbis Mädchen grün",
    "fr": "le la les l'été d'hiver un une des du de et ou pas avec pour dans sur au aux qu'il n'est aujourd'hui s'il commande produit nouveauté prix maison cuisine livraison chaussure élève français à où œuvre garçon",
    "es": "el la los las un una y o de del en con para por no que su al más señor niño año mañana pedido producto oferta nuevo precio casa cocina envío zapato también dónde cómo corazón",
    "it": "il lo la i gli le un una e o di del dell'acqua nell'anno un'altra c'è perché dov'è con per non che da al ordine prodotto offerta nuovo prezzo casa cucina spedizione città università",
    "pt": "o a os as um uma e ou de do da em no na com para por não que mais ação coração pedido produto oferta novo preço casa cozinha entrega sapato você também irmã pão",
    "nl": "de het een en of van in met voor op niet 's-avonds zo'n foto's auto's bestelling product aanbod nieuw prijs huis keuken levering schoenen één café",
    "pl": "i lub nie w z na do od po za przez zamówienie produkt oferta nowy cena dom kuchnia dostawa buty łódź żółty źródło święto ćwiczenie piątek",
    "tr": "ve veya bir için ile değil sipariş ürün teklif yeni fiyat ev mutfak teslimat ayakkabı İstanbul'da Ankara'nın çocuk güzel şehir ığdır öğrenci",
    "sv": "och eller inte med av i på för till beställning produkt erbjudande ny pris hus kök leverans skor flicka ö år hjärta",
    "ru": "и или не в на с для заказ товар новый цена дом кухня доставка обувь день год город Москва",
    "uk": "і або не в на з для замовлення товар новий ціна дім кухня п'ять об'єкт комп'ютер м'яч",
    "el": "και ή δεν σε με για παραγγελία προϊόν νέο τιμή σπίτι",
    "he": "ו או לא של עם הזמנה מוצר חדש מחיר בית צ'יפס ג'ינס",
    "ar": "و أو لا في من مع طلب منتج جديد سعر بيت",
    "zh": "订单 产品 新品 价格 家 厨房 配送 鞋子 你好 世界 搜索 用户 数据",
    "ja": "注文 商品 新着 価格 家 台所 配送 くつ こんにちは 世界 検索 データ",
    "ko": "주문 상품 신상품 가격 집 부엌 배송 신발 안녕하세요",
    "hi": "और या नहीं में ऑर्डर उत्पाद नया मूल्य घर",
    "vi": "và hoặc không trong với đơn hàng sản phẩm mới giá nhà bếp giao giày người Việt",
    "ga": "agus nó an na i le d'fhág b'fhéidir m'athair Baile Átha Cliath",
    "haw": "Hawaiʻi Oʻahu aloha Kaʻahumanu Ko'olau Ka'u",
    "mt": "ta' u jew ma' l-ewwel x'għandek fuq prezz dar",
}
WORDS = {language: text.split() for language, text in WORDS.items()}

NAMES = """O'Reilly|O'Shea|D'Amico|D'Arcy|Dell'Orto|L'Hôpital|M'Bala|N'Golo Kanté|Te'o|Ka'ahumanu|Shaquille O'Neal
|Jeanne d'Arc|Conan O'Brien|Sinéad O'Connor|Beverly D'Angelo|Ng'ang'a|Ta'ati|Sa'id al-Din|Ra'anan|Be'er Sheva|Nuku'alofa
|Al-Mu'tasim|Mu'ammar|Yesh'a|José María Álvarez del Manzano y López-Hierro|Jürgen Groß|Ángel Di María|Łukasz Żółć
|Nguyễn Văn An|Björk Guðmundsdóttir|Zoë Krüger-d'Hondt|van 't Hoff|'t Hart|van der Meer|in 't Veld|de l'Étoile|St. Mary's
|King's Lynn|Bishop's Stortford|Martha's Vineyard|Coeur d'Alene|Val-d'Isère|L'Hospitalet|Reggio nell'Emilia
|Sant'Angelo|Ca' Foscari|Ivan Petrov|Олена Ковальчук|Володимир М'ясоєдов|王小明|山田太郎|김민준|محمد علي|יוסי כהן|अमित शर्मा
|Null|Ann Select|Bob Union|Mr. Drop|Dr. Alter|Cat Stevens|Exec Smith|Sleep O'Neil|William "Bill" Gates|Smith, Jr.
|Müller & Söhne GmbH|AT&T|Johnson & Johnson|Toys "R" Us|P!nk|Ke$ha|Yahoo!|Guns N' Roses|C&A|H&M|7-Eleven|Dr Pepper/7Up
|Barnes & Noble, Inc.|L'Oréal|Lay's|Wendy's|Arby's|McDonald's|Ben & Jerry's|Sotheby's|S.p.A.|Sp. z o.o.|AG & Co. KGaA"""
NAMES = NAMES.replace("\n", "").split("|")
